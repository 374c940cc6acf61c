/** Exports of filters/lib/token-estimate for its tests on Node. */
import "../../../filters/sdk/abort";
import { estimateTokens } from "../../../filters/lib/token-estimate";

export function estimate(bytes: u32, tokensPerByte: f64): i32 {
  return estimateTokens(bytes, tokensPerByte);
}
