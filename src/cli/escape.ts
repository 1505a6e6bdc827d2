// Telemetry is written by strangers. What reaches a terminal or a spreadsheet is text, never a command.

// C0 and C1 controls, DEL, the line separators, and the characters that turn the direction of writing.
const unsafe = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;

/** One line for a terminal: control characters become `\u001b`, line ends `\n`, tabs `\t`. */
export function escapeForTerminal(text: string): string {
  return text.replace(unsafe, (char) => {
    if (char === '\n') return '\\n';
    if (char === '\t') return '\\t';
    if (char === '\r') return '\\r';
    return unicodeEscape(char);
  });
}

/** JSON that is safe to print: the same value, with the characters escaped that JSON itself would let through. */
export function escapeJson(json: string): string {
  return json.replace(unsafe, (char) => (char === '\n' ? char : unicodeEscape(char)));
}

/**
 * One CSV field (RFC 4180). A text that a spreadsheet would run as a formula gets an apostrophe in front.
 * @see OWASP "CSV Injection"
 */
export function escapeForCsv(text: string): string {
  const isNumber = /^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text);
  const harmless = /^[=+\-@\t\r\n]/.test(text) && !isNumber ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

function unicodeEscape(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
