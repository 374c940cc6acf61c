/** A hit that counts part of its tokens: the stages behind the cache are asked first, and what the answer once took is settled with them in part. */
import { Exchange } from "../pipeline/exchange";
import { Replay } from "../pipeline/replay";
import { GivenAnswers } from "./given-answers";

@final
export class StoredReplay extends Replay {
  constructor(
    private readonly given: GivenAnswers,
    private readonly exchange: Exchange,
  ) {
    super();
  }

  send(): bool {
    return this.given.replay(this.exchange);
  }
}
