/**
 * One concern of the gateway, such as routing or rate limiting. Stages run in a fixed order on the same request, after one scan of the body, and
 * know nothing of each other: each takes its own part of the configuration and keeps its own state per request.
 *
 * A stage object belongs to one configuration; it may be asked about many requests at the same time, so what it knows of a request goes into a
 * `StageState`, which is pooled with the stream.
 */
import { Exchange } from "./exchange";

export const enum Verdict {
  /** Go on with the next stage, at last with the request itself. */
  Next = 0,
  /** A local reply was sent: nothing more happens to the request. */
  Answered = 1,
}

/** What a stage keeps of one request. Reused: `begin` makes it as new. */
export class StageState {
  begin(): void {}
}

export abstract class Stage {
  /** Place in `Exchange.states`; set by the pipeline. */
  index: i32 = 0;
  /** Ask for `Exchange.chat`: costs a full pass over every JSON body. */
  needsChat: bool = false;
  /** Ask for `Exchange.endStatus`: one hostcall for answers that report no usage. */
  needsStatus: bool = false;

  /** Called once for each pooled stream. */
  createState(): StageState {
    return new StageState();
  }

  /** Headers and body are complete; with `exchange.problem` the body is not known. Headers may be changed here, the body by `exchange.edit`. */
  onRequest(exchange: Exchange): Verdict {
    return Verdict.Next;
  }

  /** All stages let the request pass, and its body was changed: size and places of the model in `exchange` are those of the body that goes on. */
  onBodyChanged(exchange: Exchange): void {}

  /** Headers of the answer to a routed request, local replies of Envoy included. They may be changed here. */
  onResponseHeaders(exchange: Exchange): void {}

  /**
   * The stream is over, completed, aborted or answered by a stage. No hostcall of this stream works any more; `exchange.usage` is final, and
   * `exchange.routed` tells whether the request was sent on.
   */
  onEnd(exchange: Exchange): void {}

  /** About twice a second in every VM, and at last when the configuration is gone; not on the way of any request. */
  onTick(): void {}
}
