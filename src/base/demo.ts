/** The resource attribute that marks what the demo sends, with the value true: it is cleared by it. */
export const demoAttribute = 'watchingcat.demo';
