/**
 * Regular expressions for Envoy, which uses RE2. There is no RE2 here, so the pattern is checked for what RE2 lacks (look-around,
 * back-references) and then compiled as JavaScript after RE2's own spellings were translated. What passes may still be rejected by Envoy
 * in rare cases; that NACK is shown with the route's name.
 */
export function regexProblem(pattern: string): string | undefined {
  if (/\(\?<?[=!]/.test(pattern)) return "RE2 has no look-ahead or look-behind";
  if (/(?<!\\)(\\\\)*\\([1-9]|k<)/.test(pattern)) return "RE2 has no back-references";
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
