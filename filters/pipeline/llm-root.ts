/**
 * The plugin around the stages: reads the configuration, keeps what all streams of it share, ticks.
 *
 * A filter derives from it and says in `read` which stages there are and where their configuration stands.
 */
import { JsonDocument, JsonNode, NodeKind } from "../lib/json-document";
import { buffer, BufferType, Bytes, grpc, log, LogLevel, Metric, PairsWriter, RootContext, Status, StreamContext, time } from "../sdk";
import { AccessLog } from "./access-log";
import { answerHeaders } from "./answer-headers";
import { BodyNeeds } from "./body-needs";
import { BodyGuard } from "./body-guard";
import { ConfigReader } from "./config-reader";
import { Exchange } from "./exchange";
import { LlmStream } from "./llm-stream";
import { Flow, Stage, StageHost } from "./stage";
import { Telemetry } from "./telemetry";
import { TrafficConfig } from "./traffic-config";

/**
 * Milliseconds between ticks: a request whose body is withheld is noticed after at most two, and statistics are written after one
 * (together, because hostcalls on the request's way would buy nothing).
 */
const TICK: i32 = 450;

/** Milliseconds between ticks while a stage waits for something: a timer of Envoy's is not finer than this under load. */
const MOMENT: i32 = 15;

const NO_METADATA = new PairsWriter();
const CONTENT_TYPE = Bytes.literal("content-type");

export abstract class LlmRoot extends RootContext implements StageHost {
  traffic: TrafficConfig = new TrafficConfig();
  readonly stages: Stage[] = [];
  readonly needs: BodyNeeds = new BodyNeeds();
  /** A stage wants `Exchange.endStatus`. */
  needsStatus: bool = false;
  /** Headers that only we write; taken from clients one by one when their headers cannot be listed. */
  readonly reserved: Bytes[] = [];
  /** Index of content-type among the captured headers. */
  contentType: i32 = 0;
  readonly guard: BodyGuard<LlmStream> = new BodyGuard<LlmStream>();
  readonly telemetry: Telemetry = new Telemetry();
  private readonly accessLog: AccessLog = new AccessLog();
  /** A stage waits, so ticks come each MOMENT; and how many of them came since the last whole one. */
  private hurried: bool = false;
  private moments: i32 = 0;
  private readonly message: Bytes = new Bytes();
  private unreadable: Metric | null = null;
  private unfiltered: Metric | null = null;

  constructor(private readonly name: string) {
    super();
  }

  /** Reads the fields of the configuration and adds the stages. Faults go to `reader`. */
  abstract read(configuration: JsonNode, reader: ConfigReader): void;

  onConfigure(size: i32): bool {
    const reader = new ConfigReader();
    const json = new Bytes();
    if (size > 0 && buffer.get(BufferType.PluginConfiguration, 0, size, json) == Status.Ok) {
      this.contentType = this.traffic.wanted.want(CONTENT_TYPE);
      const document = new JsonDocument();
      const root = document.parse(json.ptr, json.len);
      if (root === null) reader.fail("configuration", "is not JSON: " + document.error);
      else if (root.kind != NodeKind.Object) reader.fail("configuration", "must be an object");
      else this.read(root, reader);
    } else {
      reader.fail("configuration", "missing; at least models or rules are needed");
    }
    for (let i = 0; i < reader.faults.length; i++) log.text(LogLevel.Error, this.name + ": " + reader.faults[i]);
    if (reader.faults.length > 0) return false;
    time.setTickPeriod(TICK);
    this.unreadable = Metric.counter("tokenmesh_llm_router_body_unreadable");
    this.telemetry.begin(this.traffic.measured);
    return true;
  }

  addStage(stage: Stage): void {
    stage.index = this.stages.length;
    stage.host = this;
    this.stages.push(stage);
    const needs = this.needs;
    needs.chat = needs.chat || stage.needsChat;
    needs.prompt = needs.prompt || stage.needsPrompt;
    if (stage.needsDigest) needs.digester = stage;
    this.needsStatus = this.needsStatus || stage.needsStatus;
  }

  createStream(): StreamContext {
    return new LlmStream(this);
  }

  newExchange(): Exchange {
    const exchange = new Exchange(this.traffic.wanted);
    for (let i = 0; i < this.stages.length; i++) exchange.states.push(this.stages[i].createState());
    return exchange;
  }

  hurry(): void {
    if (this.hurried) return;
    this.hurried = true;
    this.moments = 0;
    time.setTickPeriod(MOMENT);
  }

  onTick(): void {
    if (this.hurried && this.waits() && ++this.moments * MOMENT < TICK) return;
    this.moments = 0;
    this.telemetry.flush();
    for (let i = 0; i < this.stages.length; i++) this.stages[i].onTick();
    if (!this.guard.check()) return;
    log.text(
      LogLevel.Error,
      this.name +
        ": Envoy withholds request bodies, so models cannot be read and this plugin goes by headers only from now on. " +
        "Set allow_on_headers_stop_iteration: true in its plugin configuration (Envoy 1.35 or newer; under Istio apply the EnvoyFilter in envoy/istio).",
    );
    for (let request = this.guard.take(); request !== null; request = this.guard.take()) request.releaseUnread();
  }

  /** Tells the stages that time has passed. False when none of them waits any more. */
  private waits(): bool {
    let waits = false;
    for (let i = 0; i < this.stages.length; i++) if (this.stages[i].onMoment()) waits = true;
    if (waits) return true;
    this.hurried = false;
    time.setTickPeriod(TICK);
    return false;
  }

  keepBody(exchange: Exchange): void {
    this.needs.known.keep(exchange);
  }

  startCall(cluster: Bytes, service: Bytes, method: Bytes, message: Bytes, timeout: i32): u32 {
    return this.grpcCall(cluster, service, method, NO_METADATA, message, timeout) == Status.Ok ? grpc.lastId() : 0;
  }

  openStream(cluster: Bytes, service: Bytes, method: Bytes): u32 {
    return this.grpcStream(cluster, service, method, NO_METADATA) == Status.Ok ? grpc.lastId() : 0;
  }

  cancelStream(callId: u32): void {
    this.grpcCancel(callId);
  }

  onGrpcReceive(callId: u32, size: i32): void {
    const read = buffer.get(BufferType.GrpcReceiveBuffer, 0, size, this.message) == Status.Ok;
    this.callAnswered(callId, read ? this.message : null);
  }

  onGrpcClose(callId: u32, status: i32): void {
    this.callAnswered(callId, null);
  }

  private callAnswered(callId: u32, message: Bytes | null): void {
    for (let i = 0; i < this.stages.length; i++) if (this.stages[i].onCallAnswer(callId, message)) return;
  }

  onQueueReady(queueId: u32): void {
    for (let i = 0; i < this.stages.length; i++) if (this.stages[i].onQueueReady(queueId)) return;
  }

  countUnreadable(): void {
    const metric = this.unreadable;
    if (metric !== null) metric.add(1);
  }

  /** A stream had an event so large that usage which the client did not ask for may have passed. It never happened yet: the counter is made when it does. */
  countUnfiltered(): void {
    let metric = this.unfiltered;
    if (metric === null) {
      metric = Metric.counter("tokenmesh_llm_streams_unfiltered");
      this.unfiltered = metric;
    }
    metric.add(1);
  }

  onBodyChanged(exchange: Exchange): void {
    for (let i = 0; i < this.stages.length; i++) unchecked(this.stages[i]).onBodyChanged(exchange);
  }

  onSend(exchange: Exchange): void {
    for (let i = 0; i < this.stages.length; i++) unchecked(this.stages[i]).onSend(exchange);
  }

  onDiverted(exchange: Exchange): void {
    for (let i = 0; i < this.stages.length; i++) unchecked(this.stages[i]).onDiverted(exchange);
  }

  onFirstByte(exchange: Exchange): void {
    for (let i = 0; i < this.stages.length; i++) unchecked(this.stages[i]).onFirstByte(exchange);
  }

  onResponseHeaders(exchange: Exchange): void {
    for (let i = 0; i < this.stages.length; i++) unchecked(this.stages[i]).onResponseHeaders(exchange);
    answerHeaders.write(exchange.usageAdded || exchange.watched);
  }

  onResponseTrailers(exchange: Exchange): void {
    for (let i = 0; i < this.stages.length; i++) unchecked(this.stages[i]).onResponseTrailers(exchange);
  }

  onAnswered(exchange: Exchange): void {
    for (let i = 0; i < this.stages.length; i++) unchecked(this.stages[i]).onAnswered(exchange);
  }

  /** The stages' strictest wish. */
  onPiece(exchange: Exchange): Flow {
    let flow = Flow.Pass;
    for (let i = 0; i < this.stages.length; i++) flow = max(flow, unchecked(this.stages[i]).onPiece(exchange));
    return flow;
  }

  /** Says what is known for the access log, which is written when the stream ends: when the request goes on, and with the last byte of the answer. */
  note(exchange: Exchange): void {
    if (this.traffic.accessLog) this.accessLog.write(exchange);
  }

  /** A stream that the stages have seen is over. */
  finish(exchange: Exchange): void {
    if (exchange.routed && exchange.replay === null && this.traffic.metrics) {
      if (exchange.endedAt == 0) exchange.endedAt = time.now();
      this.telemetry.observe(exchange, exchange.endedAt);
    }
    for (let i = 0; i < this.stages.length; i++) unchecked(this.stages[i]).onEnd(exchange);
  }

  onDelete(): void {
    this.telemetry.flush();
    for (let i = 0; i < this.stages.length; i++) {
      this.stages[i].onTick();
      this.stages[i].onGone();
    }
    this.needs.known.release();
    this.accessLog.release();
  }
}
