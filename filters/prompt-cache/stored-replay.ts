/** A hit that counts part of its tokens: the stages behind the cache are asked first, and what the answer once took is settled with them in part. */
import { Exchange } from "../pipeline/exchange";
import { Replay } from "../pipeline/replay";
import { Lookups } from "./lookups";

@final
export class StoredReplay extends Replay {
  constructor(
    private readonly lookups: Lookups,
    private readonly exchange: Exchange,
  ) {
    super();
  }

  send(): bool {
    return this.lookups.replay(this.exchange);
  }
}
