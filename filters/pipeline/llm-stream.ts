/**
 * One HTTP stream: finds out whether it is an LLM call, holds the body until it is complete, has it read once, asks the stages in order, and
 * looks through the answer while it passes.
 *
 *   request headers  one pairs call; reserved headers of the client removed; not an LLM path: continue, nothing more
 *                    else stop and wait for the body (Gemini names the model in the path: no waiting, unless a stage wants the body)
 *   request body     read when it is complete (request-body.ts), then `Stage.onRequest` of each stage, then changed as they asked for
 *   response         headers: `Stage.onResponseHeaders`; body: looked through for token usage, passed on at once and unchanged, but for the
 *                    usage of a stream that only a stage asked for (include-usage.ts)
 *   end              statistics, `Stage.onEnd`
 *
 * Envoy picks the route again because request headers changed.
 */
import {
  buffer,
  BufferType,
  Bytes,
  FilterDataStatus,
  FilterHeadersStatus,
  FilterTrailersStatus,
  headers,
  HttpContext,
  MapType,
  property,
  Status,
  stream,
  StreamType,
  time,
} from "../sdk";
import { answerHead } from "./answer-head";
import { beginFiltering, endFiltering } from "./answer-filter";
import { readPiece } from "./answer-pieces";
import { edits } from "./body-edit";
import { Body } from "./body-guard";
import { connectionEnds } from "./connection-ends";
import { Exchange, ModelPlace, Problem } from "./exchange";
import { Gate } from "./gate";
import { LlmRoot } from "./llm-root";
import { envoyRefusal, replaceBody, replaceHeaders } from "./local-reply";
import { bodyTooLarge, bodyUnreadable, invalidJson, pathTooLong, Refusal, unsupportedEncoding } from "./refusal";
import { changeBody, readAgain, readBody } from "./request-body";
import { ACCEPT_ENCODING, requestHead } from "./request-head";
import { requestHeaders } from "./request-headers";
import { readPath } from "./request-path";
import { DESTINATION } from "./reserved-headers";
import { SpareAnswer } from "./spare-answer";
import { Flow, Verdict } from "./stage";

const RESPONSE_CODE = Bytes.literal("response\0code");

/** Of an answer that another took the place of. */
const FAILED: i32 = 500;

/** Bytes of a path with its query that are kept while the request lasts. Envoy itself takes many times that. */
const MAX_PATH: i32 = 4096;

const contentType = new Bytes();
const nothing = new Bytes();

const enum Phase {
  /** Not ours, answered, or over: every callback continues. */
  Passing = 0,
  WaitingForBody = 1,
  /** Sent on: its answer is looked at. */
  Routed = 2,
  /** Decided, and held by a stage. */
  Held = 3,
  /** Its answer failed, and another takes the place of its body. */
  Replacing = 4,
  /** Sent elsewhere: only what Envoy itself answers in its place is looked at, and whether it failed where there is something else to give. */
  Diverted = 5,
}

/** What the stages said. */
const enum Decision {
  /** The request goes on. */
  Goes = 0,
  Answered = 1,
  Held = 2,
}

@final
export class LlmStream extends HttpContext {
  private phase: Phase = Phase.Passing;
  /** The stages have seen the request, so they are told of its end. */
  private asked: bool = false;
  /** Stages that hold the request. */
  private holds: i32 = 0;
  /** The stage that is asked when the one before it waits no more; -1: none waits. */
  private next: i32 = -1;
  /** Nothing of the answer passes. */
  private answerHeld: bool = false;
  /** Bytes of the body, as its request says; negative when it does not. */
  private declared: i64 = -1;
  /** The client takes compressed answers. */
  private encodings: bool = false;
  readonly exchange: Exchange;

  constructor(private readonly root: LlmRoot) {
    super(root);
    this.exchange = root.newExchange();
    this.exchange.gate = new StreamGate(this);
  }

  onCreate(): void {
    this.phase = Phase.Passing;
    this.asked = false;
    this.holds = 0;
    this.next = -1;
    this.answerHeld = false;
    this.encodings = false;
  }

  /** The only end that every stream reaches; what an aborted answer had shown of its usage still counts. */
  onDelete(): void {
    if (this.asked) this.root.finish(this.exchange);
    endFiltering(this.exchange);
    this.stopWaiting();
    this.asked = false;
  }

  private stopWaiting(): void {
    if (this.phase == Phase.WaitingForBody) this.root.guard.forget(this);
    this.phase = Phase.Passing;
  }

  release(): void {
    this.exchange.release();
  }

  onRequestHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    const exchange = this.exchange;
    if (!requestHead.read(exchange, this.id)) return this.passUnread();
    const path = requestHead.path;
    if (!requestHead.post || !readPath(exchange, this.root.traffic, path)) return FilterHeadersStatus.Continue;
    if (path.len > MAX_PATH) {
      pathTooLong.send(exchange.api, nothing);
      return FilterHeadersStatus.StopIteration;
    }
    exchange.path.bytes(path);

    const declared = requestHead.declared;
    this.encodings = requestHead.encodings;
    this.declared = declared;
    exchange.hasContentLength = declared >= 0;
    if (exchange.modelPlace != ModelPlace.Path || this.root.needs.chat) {
      if (requestHead.compressed) exchange.trouble(Problem.Malformed, unsupportedEncoding);
      else if (declared > <i64>this.root.traffic.maxBodyBytes) exchange.trouble(Problem.TooLarge, bodyTooLarge);
      else if (endOfStream) exchange.trouble(Problem.Malformed, invalidJson);
      else if (this.root.guard.state != Body.Unreadable) {
        this.phase = Phase.WaitingForBody;
        this.root.guard.watch(this);
        return FilterHeadersStatus.StopIteration;
      } else this.withoutBody();
    }
    return this.ask() == Decision.Goes ? FilterHeadersStatus.Continue : FilterHeadersStatus.StopIteration;
  }

  /** Headers that cannot be read cannot be routed by; the ones that choose a route are still not taken from the client. */
  private passUnread(): FilterHeadersStatus {
    const reserved = this.root.reserved;
    for (let i = 0; i < reserved.length; i++) headers.remove(MapType.HttpRequestHeaders, unchecked(reserved[i]));
    headers.remove(MapType.HttpRequestHeaders, DESTINATION);
    return FilterHeadersStatus.Continue;
  }

  onRequestBody(size: i32, endOfStream: bool): FilterDataStatus {
    // Held before its body: what comes is kept, and slows the client down.
    if (this.phase == Phase.Held) return FilterDataStatus.StopIterationAndWatermark;
    if (this.phase != Phase.WaitingForBody) return FilterDataStatus.Continue;
    if (this.root.guard.state == Body.Unknown) this.root.guard.proveReadable();
    this.exchange.bodySize = size;
    // Nothing is waited for when all of it is there: the time is asked for once, when it is decided on.
    if (!endOfStream && <i64>size != this.declared) this.start();
    if (size > this.root.traffic.maxBodyBytes) this.exchange.trouble(Problem.TooLarge, bodyTooLarge);
    else if (!endOfStream) return FilterDataStatus.StopIterationAndBuffer;
    const decision = this.decide();
    if (decision == Decision.Held) return FilterDataStatus.StopIterationAndBuffer;
    return decision == Decision.Goes ? FilterDataStatus.Continue : FilterDataStatus.StopIterationNoBuffer;
  }

  /** With trailers, they and not the last body callback end the request. */
  onRequestTrailers(count: i32): FilterTrailersStatus {
    if (this.phase == Phase.Held) return FilterTrailersStatus.StopIteration;
    if (this.phase != Phase.WaitingForBody) return FilterTrailersStatus.Continue;
    return this.decide() == Decision.Goes ? FilterTrailersStatus.Continue : FilterTrailersStatus.StopIteration;
  }

  onResponseHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    if (this.phase == Phase.Passing) return FilterHeadersStatus.Continue;
    answerHead.forget();
    const refusal = envoyRefusal(count);
    const spare = this.phase == Phase.Routed || this.phase == Phase.Diverted ? this.exchange.spare : null;
    if (spare !== null && (refusal !== null || hasFailed()) && this.answerInstead(spare, endOfStream)) {
      return endOfStream ? FilterHeadersStatus.StopIteration : FilterHeadersStatus.Continue;
    }
    if (refusal !== null && endOfStream) {
      // There is no body that could be replaced.
      this.refuse(refusal);
      return FilterHeadersStatus.StopIteration;
    }
    if (refusal !== null) replaceHeaders(this.exchange.api, refusal);
    this.exchange.ownAnswer = refusal;
    if (this.phase != Phase.Routed) return FilterHeadersStatus.Continue;
    this.root.onResponseHeaders(this.exchange);
    if ((this.exchange.usageAdded || this.exchange.watched) && !endOfStream && refusal === null) beginFiltering(this.exchange);
    if (endOfStream) this.answerEnds();
    else this.root.note(this.exchange);
    return FilterHeadersStatus.Continue;
  }

  /** The client gets `spare` in place of the failed answer, of which the stages know if it is of an upstream. False when there is none after all. */
  private answerInstead(spare: SpareAnswer, endOfStream: bool): bool {
    if (!spare.ready()) return false;
    const exchange = this.exchange;
    if (this.phase == Phase.Routed) {
      this.root.onResponseHeaders(exchange);
      exchange.answered = true;
      exchange.endStatus = FAILED;
    }
    this.phase = endOfStream ? Phase.Passing : Phase.Replacing;
    if (endOfStream) spare.send();
    else spare.writeHeaders();
    this.root.note(exchange);
    return true;
  }

  onResponseBody(size: i32, endOfStream: bool): FilterDataStatus {
    connectionEnds.forget();
    if (this.phase == Phase.Passing) return FilterDataStatus.Continue;
    const exchange = this.exchange;
    if (this.phase == Phase.Replacing) {
      const spare = exchange.spare;
      buffer.replace(BufferType.HttpResponseBody, spare !== null ? spare.body() : nothing);
      exchange.spare = null;
      return FilterDataStatus.Continue;
    }
    const ownAnswer = exchange.ownAnswer;
    if (ownAnswer !== null) {
      replaceBody(exchange.api, ownAnswer);
      this.stopWaiting();
    }
    if (this.phase != Phase.Routed) return FilterDataStatus.Continue;
    if (exchange.answerBytes == 0 && size > 0) this.root.onFirstByte(exchange);
    const answer = exchange.answer;
    if (answer !== null) answer.beginPiece();
    if (!readPiece(exchange, size, endOfStream)) this.root.countUnfiltered();
    if (endOfStream) this.answerEnds();
    if (answer !== null && answer.isOver) return FilterDataStatus.StopIterationNoBuffer;
    if (answer !== null && answer.take(answer.isDecided ? Flow.Pass : this.root.onPiece(exchange), exchange)) this.answerHeld = true;
    return this.answerHeld ? FilterDataStatus.StopIterationAndWatermark : FilterDataStatus.Continue;
  }

  /** With trailers, they and not the last piece of the body end the answer. */
  onResponseTrailers(count: i32): FilterTrailersStatus {
    if (this.phase == Phase.Routed) {
      this.root.onResponseTrailers(this.exchange);
      this.answerEnds();
    }
    const answer = this.exchange.answer;
    if (answer !== null && answer.isOver) return FilterTrailersStatus.StopIteration;
    // Nobody said that there would be trailers, and what waits can pass no more: better no end than a wrong one.
    if (answer !== null && answer.waits) stream.close(StreamType.HttpResponse);
    return this.answerHeld ? FilterTrailersStatus.StopIteration : FilterTrailersStatus.Continue;
  }

  private answerEnds(): void {
    const exchange = this.exchange;
    exchange.answered = true;
    if (exchange.startedAt != 0) exchange.endedAt = time.now();
    // Envoy shows headers only while they pass.
    if (this.root.needsStatus && !exchange.usage.seen) exchange.endStatus = <i32>property.integer(RESPONSE_CODE, 0);
    this.root.onAnswered(exchange);
    this.root.note(exchange);
  }

  /** Called on a tick, with this stream as the effective context, when its body will never be seen. */
  releaseUnread(): void {
    this.phase = Phase.Passing;
    if (stream.setEffectiveContext(this.id) != Status.Ok) return;
    this.withoutBody();
    if (this.ask() == Decision.Goes) stream.resume(StreamType.HttpRequest);
  }

  /** One stage less holds the request. */
  releaseRequest(): void {
    if (this.phase != Phase.Held || --this.holds > 0 || this.next >= 0 || stream.setEffectiveContext(this.id) != Status.Ok) return;
    requestHeaders.begin();
    if (this.leaves() == Decision.Goes) stream.resume(StreamType.HttpRequest);
  }

  /** The stages behind the one that waited are asked. */
  proceed(): void {
    if (this.phase != Phase.Held || this.next < 0 || stream.setEffectiveContext(this.id) != Status.Ok) return;
    const exchange = this.exchange;
    const from = this.next;
    this.next = -1;
    this.phase = Phase.Passing;
    if (from < this.root.stages.length && exchange.problem == Problem.None) readAgain(exchange, this.root.needs);
    if (this.askFrom(from) == Decision.Goes) stream.resume(StreamType.HttpRequest);
  }

  /** The held request is answered by whoever calls. */
  takeRequest(): bool {
    if (this.phase != Phase.Held || stream.setEffectiveContext(this.id) != Status.Ok) return false;
    this.phase = Phase.Passing;
    this.next = -1;
    this.exchange.routed = false;
    this.noteCache();
    return true;
  }

  isHeld(): bool {
    return this.phase == Phase.Held && stream.setEffectiveContext(this.id) == Status.Ok;
  }

  /** The held request goes elsewhere. */
  divertRequest(): bool {
    if (!this.isHeld()) return false;
    this.next = -1;
    this.divert();
    stream.resume(StreamType.HttpRequest);
    return true;
  }

  resumeAnswer(): void {
    if (!this.answerHeld || stream.setEffectiveContext(this.id) != Status.Ok) return;
    this.answerHeld = false;
    connectionEnds.forget();
    stream.resume(StreamType.HttpResponse);
  }

  private withoutBody(): void {
    this.root.countUnreadable();
    this.exchange.trouble(Problem.Unreadable, bodyUnreadable);
  }

  /** The body is complete, or too large: reads it and asks the stages. */
  private decide(): Decision {
    this.phase = Phase.Passing;
    const exchange = this.exchange;
    if (exchange.problem == Problem.None) {
      const root = this.root;
      const type = exchange.headers.read(root.contentType, contentType);
      const refusal = readBody(exchange, type, root.needs, root.traffic.lastModelWins);
      if (refusal !== null) return this.refuse(refusal);
    }
    return this.ask();
  }

  private ask(): Decision {
    this.asked = true;
    this.holds = 0;
    this.start();
    return this.askFrom(0);
  }

  /** The request is there, or its body comes. */
  private start(): void {
    const exchange = this.exchange;
    if (this.root.traffic.metrics && exchange.startedAt == 0) exchange.startedAt = time.now();
  }

  /** Asks the stages in order, until one answers or waits. */
  private askFrom(first: i32): Decision {
    const exchange = this.exchange;
    edits.begin();
    requestHeaders.begin();
    // A compressed answer would hide its usage; clients lose nothing but bytes on the wire between Envoy and upstream.
    if (this.encodings) requestHeaders.remove(ACCEPT_ENCODING);
    this.encodings = false;
    const stages = this.root.stages;
    for (let i = first; i < stages.length && this.next < 0; i++) {
      const verdict = unchecked(stages[i]).onRequest(exchange);
      if (verdict == Verdict.Hold) this.holds++;
      else if (verdict == Verdict.Wait) this.next = i + 1;
      else if (verdict == Verdict.Answered) return this.answered();
      else if (verdict == Verdict.Diverted) return this.divert();
    }
    if (!changeBody(exchange)) {
      exchange.routed = false;
      return this.refuse(bodyUnreadable);
    }
    if (edits.count > 0) this.root.onBodyChanged(exchange);
    exchange.chat = null;
    exchange.digest = null;
    if (this.next >= 0) {
      requestHeaders.write();
      this.phase = Phase.Held;
      return Decision.Held;
    }
    return this.decided();
  }

  /** All stages have been asked. */
  private decided(): Decision {
    const exchange = this.exchange;
    if (exchange.routed) {
      exchange.usage.reset(exchange.api);
      // Should the answer never end, the access log still says where the request went.
      this.root.note(exchange);
    } else {
      const refusal = exchange.refusal;
      if (refusal !== null) return this.refuse(refusal);
    }
    if (this.holds > 0) {
      requestHeaders.write();
      this.phase = Phase.Held;
      return Decision.Held;
    }
    return this.leaves();
  }

  /** No stage holds the request. */
  private leaves(): Decision {
    const exchange = this.exchange;
    const replay = exchange.replay;
    this.phase = Phase.Passing;
    if (replay !== null && replay.send()) {
      this.root.note(exchange);
      return Decision.Answered;
    }
    exchange.replay = null;
    if (exchange.routed) {
      this.phase = Phase.Routed;
      this.root.onSend(exchange);
    }
    requestHeaders.write();
    return Decision.Goes;
  }

  private divert(): Decision {
    const exchange = this.exchange;
    this.phase = Phase.Diverted;
    exchange.routed = false;
    this.root.onDiverted(exchange);
    this.noteCache();
    return Decision.Goes;
  }

  /** Says for the access log that a cache has answered, if one has. */
  private noteCache(): void {
    const exchange = this.exchange;
    if (exchange.cache.length == 0) return;
    exchange.usage.reset(exchange.api);
    this.root.note(exchange);
  }

  /** A stage has answered the request, so nobody else will. */
  private answered(): Decision {
    const exchange = this.exchange;
    exchange.routed = false;
    this.noteCache();
    return Decision.Answered;
  }

  private refuse(refusal: Refusal): Decision {
    refusal.send(this.exchange.api, nothing);
    return Decision.Answered;
  }
}

/** A stream as its stages see it when they have stopped it. */
@final
class StreamGate extends Gate {
  constructor(private readonly stream: LlmStream) {
    super();
  }

  release(): void {
    this.stream.releaseRequest();
  }

  take(): bool {
    return this.stream.takeRequest();
  }

  focus(): bool {
    return this.stream.isHeld();
  }

  divert(): bool {
    return this.stream.divertRequest();
  }

  proceed(): void {
    this.stream.proceed();
  }

  resumeAnswer(): void {
    this.stream.resumeAnswer();
  }
}

/** The upstream's answer says that it could not do it. One hostcall, if nobody has read the headers yet. */
function hasFailed(): bool {
  return answerHead.read() !== null && answerHead.status() >= FAILED;
}
