/** The resource attribute that marks what the demo sends, with the value true: it is cleared by it. */
export const demoAttribute = 'watchingcat.demo';
/** The name of the demo's cluster, on all of it. */
export const demoCluster = 'watchingcat-demo';
