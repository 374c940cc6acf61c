/** How many tokens a prompt will be, guessed from its size: nobody counts before the upstream does. */

/**
 * ceil(`bytes` x `tokensPerByte`) tokens, computed as a double; between 0 and 2^31 - 1, whatever comes in. `bytes` are those of the prompt text in UTF-8, so that scripts
 * with more bytes a letter, which need more tokens a letter too, are not taken for short ones. English prose has about 0.25 tokens a byte. O(1).
 */
export function estimateTokens(bytes: u32, tokensPerByte: f64): i32 {
  const tokens = ceil(<f64>bytes * tokensPerByte);
  // A comparison with NaN is false, too.
  if (!(tokens > 0)) return 0;
  return tokens < <f64>i32.MAX_VALUE ? <i32>tokens : i32.MAX_VALUE;
}
