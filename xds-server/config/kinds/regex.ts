/**
 * Regular expressions for Envoy, which uses RE2. There is no RE2 here, so the pattern is checked for what RE2 lacks (look-around,
 * back-references, escapes of other dialects, large counts) and then compiled as JavaScript after RE2's own spellings were translated. What
 * passes may still be rejected by Envoy in rare cases; that NACK is shown with the route's name.
 */

/** Letters behind a backslash that mean something to RE2; it takes no others. */
const ESCAPES = "aftnrvxpPdDsSwWbBAzCQE";
const MAX_COUNT = 1_000;

export function regexProblem(pattern: string): string | undefined {
  for (const [whole, letter = ""] of pattern.matchAll(/\\(.)/gsu)) {
    if (/[1-9]/.test(letter) || letter === "k") return "RE2 has no back-references";
    if (/[A-Za-z]/.test(letter) && !ESCAPES.includes(letter)) return `RE2 has no escape ${whole}`;
  }
  // What is escaped or in a class is no operator.
  const operators = pattern.replace(/\\./gsu, "").replace(/\[\^?\]?[^\]]*\]/g, "");
  if (/\(\?<?[=!]/.test(operators)) return "RE2 has no look-ahead or look-behind";
  for (const [, least = "", most = ""] of operators.matchAll(/\{(\d+)(?:,(\d*))?\}/g)) {
    if (Number(least) > MAX_COUNT || Number(most) > MAX_COUNT) return `RE2 repeats at most ${MAX_COUNT} times`;
  }
  const translated = pattern
    .replaceAll("(?P<", "(?<")
    .replace(/\(\?[imsU-]+:/g, "(?:")
    .replace(/\(\?[imsU-]+\)/g, "")
    .replaceAll("\\z", "$")
    .replaceAll("\\A", "^")
    .replace(/\[\[:\^?\w+:\]\]/g, "[a-z]");
  try {
    new RegExp(translated);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : "not a regular expression";
  }
}
