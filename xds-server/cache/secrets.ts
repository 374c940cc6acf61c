/** Keeps secrets out of what people read: the admin API and the log. */

const HIDDEN = "(hidden)";

/**
 * The text with every secret replaced: as it is, as it looks inside JSON, and as that looks when the JSON is quoted once more, by JSON or by the text
 * format of protobuf that Envoy's messages use. A secret so short that it occurs elsewhere hides more than itself. O(length of the text) per
 * secret.
 */
export function withoutSecrets(text: string, secrets: Iterable<string>): string {
  let shown = text;
  // Longest first: one secret may be part of another.
  for (const secret of [...secrets].sort((a, b) => b.length - a.length)) {
    if (secret === "") continue;
    const inJson = quotedInside(secret);
    const inText = inJson.replace(/["'\\]/g, "\\$&");
    for (const form of [inText, quotedInside(inJson), inJson, secret]) shown = shown.replaceAll(form, HIDDEN);
  }
  return shown;
}

function quotedInside(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}
