/**
 * One concern of the gateway, such as routing or rate limiting. Stages run in a fixed order on the same request, after one scan of the body, and
 * know nothing of each other: each takes its own part of the configuration and keeps its own state per request.
 *
 * A stage object belongs to one configuration; it may be asked about many requests at the same time, so what it knows of a request goes into a
 * `StageState`, which is pooled with the stream.
 */
import { Api } from "../lib/llm-api";
import { RequestDigest } from "../lib/request-digest";
import { Bytes } from "../sdk";
import { Exchange } from "./exchange";

export const enum Verdict {
  /** Go on with the next stage, at last with the request itself. */
  Next = 0,
  /** A local reply was sent: nothing more happens to the request. */
  Answered = 1,
  /** Go on with the next stage, but keep the request until `exchange.gate` is released. */
  Hold = 2,
  /** Keep the request, and ask the next stage when `Gate.proceed` is called. */
  Wait = 3,
  /** It goes where this stage has pointed it: no other stage is asked, and what comes back is no answer of a model server. */
  Diverted = 4,
}

/** What becomes of an answer behind the piece of it that came. */
export const enum Flow {
  Pass = 0,
  /** As much of it as `WatchedAnswer.passable` says; the rest waits for the next piece. Only where `canWait`. */
  Slow = 1,
  /** Nothing passes until the answer is resumed; the upstream is slowed down. */
  Hold = 2,
  /** The answer ends here, as one does that has reached its token limit. */
  End = 3,
}

/** What a stage keeps of one request. Reused: `begin` makes it as new. */
export class StageState {
  begin(): void {}
}

export abstract class Stage {
  /** Place in `Exchange.states`; set by the pipeline. */
  index: i32 = 0;
  /** The plugin; set by the pipeline. */
  host: StageHost | null = null;
  /** Ask for `Exchange.chat`: costs a full pass over every JSON body. */
  needsChat: bool = false;
  /** Ask for the places of the prompt in `Exchange.chat`. */
  needsPrompt: bool = false;
  /** Ask for `Exchange.digest`: a second look at every JSON body. One stage of a plugin may, which needs `needsChat` too. */
  needsDigest: bool = false;
  /** Ask for `Exchange.endStatus`: one hostcall for answers that report no usage. */
  needsStatus: bool = false;

  /** Called once for each pooled stream. */
  createState(): StageState {
    return new StageState();
  }

  /** What makes `Exchange.digest` of requests of this API; null for none. */
  digestFor(api: Api): RequestDigest | null {
    return null;
  }

  /** Headers and body are complete; with `exchange.problem` the body is not known. Headers may be changed here, the body by `exchange.edit`. */
  onRequest(exchange: Exchange): Verdict {
    return Verdict.Next;
  }

  /** All stages let the request pass, and its body was changed: size and places of the model in `exchange` are those of the body that goes on. */
  onBodyChanged(exchange: Exchange): void {}

  /**
   * The request goes on now: no stage holds it any more. Its headers may be changed, the choice of its route is made. Not called for one that a stage has
   * answered.
   */
  onSend(exchange: Exchange): void {}

  /** A stage behind this one has pointed the request elsewhere: what is written for attempts at the upstream must not come there. */
  onDiverted(exchange: Exchange): void {}

  /** Headers of the answer to a routed request, local replies of Envoy included. They may be changed here. */
  onResponseHeaders(exchange: Exchange): void {}

  /** The first bytes of the answer's body came: for a stream, the first token. */
  onFirstByte(exchange: Exchange): void {}

  /** More of the answer came, where the stage asked for it by `exchange.watch`. What came is in `exchange`, and is held or passes. */
  onPiece(exchange: Exchange): Flow {
    return Flow.Pass;
  }

  /** Trailers of the answer to a routed request. They may be changed here. */
  onResponseTrailers(exchange: Exchange): void {}

  /** The answer has come to its end, and its last bytes pass when this returns; `exchange.usage` is final. */
  onAnswered(exchange: Exchange): void {}

  /**
   * The stream is over, completed, aborted or answered by a stage. No hostcall of this stream works any more; `exchange.usage` is final, and
   * `exchange.routed` tells whether the request was sent on.
   */
  onEnd(exchange: Exchange): void {}

  /** About twice a second in every VM, and at last when the configuration is gone; not on the way of any request. */
  onTick(): void {}

  /** The configuration is gone, behind the last `onTick`. */
  onGone(): void {}

  /** A gRPC call that this stage may have started was answered: `message` is borrowed, and null when it failed. True when it was this stage's. */
  onCallAnswer(callId: u32, message: Bytes | null): bool {
    return false;
  }

  /** Something is in a shared queue that this stage may have registered. True when it was this stage's. */
  onQueueReady(queueId: u32): bool {
    return false;
  }

  /** A few times in 100 ms after `StageHost.hurry`. False when nothing waits any more. */
  onMoment(): bool {
    return false;
  }
}

/** What a stage can ask of the plugin that it belongs to. */
export interface StageHost {
  /** Keeps what is known of the body, so that the same bytes need not be read again, with `exchange.marks`, which is the digesting stage's to set. Only in `onRequest`. */
  keepBody(exchange: Exchange): void;

  /** Asks for `Stage.onMoment` until no stage waits. */
  hurry(): void;

  /** Opens a gRPC stream without metadata, whose messages come to `Stage.onCallAnswer`, and null at its end. Its id, or 0 when it could not be opened. */
  openStream(cluster: Bytes, service: Bytes, method: Bytes): u32;

  /** Resets such a stream: nothing more comes of it. */
  cancelStream(callId: u32): void;

  /** Starts a gRPC call without metadata, whose answer comes to `Stage.onCallAnswer`. Its id, or 0 when it could not be started. `timeout` in ms. */
  startCall(cluster: Bytes, service: Bytes, method: Bytes, message: Bytes, timeout: i32): u32;
}
