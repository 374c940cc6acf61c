import { EndpointMask } from "./endpoint-mask";

/** What a policy may know of a request. One object for all requests: whoever asks sets every field, `reset` first. */
@final
export class PickRequest {
  /** Requests with the same key go to the same endpoint, if the policy has keys at all. */
  key: u64 = 0;
  hasKey: bool = false;
  /** `blocks` chained hashes (u64) of the complete blocks of the prompt; valid until the next request. */
  chain: usize = 0;
  blocks: i32 = 0;
  /** Tokens of the prompt, estimated. */
  tokens: i32 = 0;
  /** Tokens of one block. */
  blockTokens: f64 = 64;
  /** Hash of the model's name; 0: any endpoint will do. */
  model: u64 = 0;
  /** Hash of the name for `LoraAffinity`, which may be an adapter's or a base model's; 0: none. Usually the same as `model`. */
  adapter: u64 = 0;
  /** Only endpoints of `subset` may be chosen. */
  hasSubset: bool = false;
  readonly subset: EndpointMask = new EndpointMask();
  /** ms; any origin, but always the same. */
  now: i64 = 0;
  /** Fresh for every request: the only randomness of a pick. */
  random: u64 = 0;

  reset(now: i64, random: u64): void {
    this.key = 0;
    this.hasKey = false;
    this.chain = 0;
    this.blocks = 0;
    this.tokens = 0;
    this.blockTokens = 64;
    this.model = 0;
    this.adapter = 0;
    this.hasSubset = false;
    this.subset.clear();
    this.now = now;
    this.random = random;
  }
}
