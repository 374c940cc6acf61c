/** How many tokens a text or an image counts. Rough, but enough to make usage, prefill time and limits follow the prompt. */

export const BYTES_PER_TOKEN = 4;
/** Whatever the size of the image: the price of a small one at OpenAI. */
const TOKENS_PER_IMAGE = 85;

export function countTokens(text: string): number {
  return Math.max(1, Math.ceil(Buffer.byteLength(text) / BYTES_PER_TOKEN));
}

/** Tokens of a prompt: of its text, and of its images. */
export function promptTokensOf({ prompt, images }: { readonly prompt: string; readonly images: number }): number {
  return countTokens(prompt) + images * TOKENS_PER_IMAGE;
}
