/**
 * Routes a request by the `model` in its JSON body.
 *
 *   request headers  one pairs call; reserved headers of the client removed; not an LLM path: continue
 *                    else stop and wait for the body
 *   request body     read once, window by window, when it is complete; scanned for `model`
 *   decision         route header and x-llm-model set, body rewritten if the upstream calls the model by another name,
 *                    or an error in the shape of the API that was called
 *
 *   response body    looked through for token usage while it passes; never held, never changed
 *
 * Envoy picks the route again because request headers changed.
 */
import { JsonKind } from "../lib/json-scanner";
import { UsageReader } from "../lib/usage-reader";
import {
  buffer,
  BufferType,
  Bytes,
  ByteWriter,
  FilterDataStatus,
  FilterHeadersStatus,
  FilterTrailersStatus,
  HeaderPairs,
  headers,
  HttpContext,
  log,
  LogLevel,
  MapType,
  Metric,
  RootContext,
  scratch,
  Status,
  stream,
  StreamContext,
  StreamType,
  time,
} from "../sdk";
import { replaceInBody } from "../pipeline/body-edit";
import { Body, BodyGuard } from "../pipeline/body-guard";
import { BodyStatus, firstMember, isEmpty, model, scanBody, WINDOW, window } from "../pipeline/body-scan";
import { Fallback, MODEL_HEADER, RESERVED_PREFIX, RouterConfig } from "./config";
import { ModelRule } from "./model-table";
import {
  ambiguousModel,
  bodyTooLarge,
  bodyUnreadable,
  invalidJson,
  modelNotFound,
  modelRequired,
  Refusal,
  unsupportedEncoding,
} from "../pipeline/refusal";

/**
 * Milliseconds between ticks: a request whose body is withheld is noticed after at most two, and token counts reach the
 * statistics after one (written in sums, because two more hostcalls per request would buy nothing).
 */
const TICK: i32 = 450;

const METHOD = Bytes.literal(":method");
const PATH = Bytes.literal(":path");
const POST = Bytes.literal("POST");
const CONTENT_LENGTH = Bytes.literal("content-length");
const CONTENT_ENCODING = Bytes.literal("content-encoding");
const IDENTITY = Bytes.literal("identity");
const DESTINATION = Bytes.literal("x-gateway-destination-endpoint");
const MESSAGES = Bytes.literal("/messages");

const pairs = new HeaderPairs();
const path = new Bytes();
const chunk = new Bytes();
const modelName = new Bytes();
const nothing = new Bytes();
const text = new ByteWriter();

export class LlmRouterRoot extends RootContext {
  config: RouterConfig = new RouterConfig();
  readonly guard: BodyGuard<LlmRouter> = new BodyGuard<LlmRouter>();
  private unreadable: Metric | null = null;
  private inputTokens: Metric | null = null;
  private outputTokens: Metric | null = null;
  private cachedTokens: Metric | null = null;
  /** Tokens counted since the last tick. */
  private input: i64 = 0;
  private output: i64 = 0;
  private cached: i64 = 0;

  onConfigure(size: i32): bool {
    const faults: string[] = [];
    const json = new Bytes();
    const given = size > 0 && buffer.get(BufferType.PluginConfiguration, 0, size, json) == Status.Ok;
    if (!given) faults.push("no configuration; at least models is needed");
    const config = given ? RouterConfig.parse(json, faults) : null;
    if (config === null) {
      for (let i = 0; i < faults.length; i++) log.text(LogLevel.Error, "llm-router: " + faults[i]);
      return false;
    }
    this.config = config;
    time.setTickPeriod(TICK);
    this.unreadable = Metric.counter("tokenmesh_llm_router_body_unreadable");
    this.inputTokens = Metric.counter("tokenmesh_llm_router_input_tokens");
    this.outputTokens = Metric.counter("tokenmesh_llm_router_output_tokens");
    this.cachedTokens = Metric.counter("tokenmesh_llm_router_cached_tokens");
    return true;
  }

  onTick(): void {
    this.flushUsage();
    if (!this.guard.check()) return;
    log.text(
      LogLevel.Error,
      "llm-router: Envoy withholds request bodies, so models cannot be read and this plugin goes by headers only from now on. " +
        "Set allow_on_headers_stop_iteration: true in its plugin configuration (Envoy 1.35 or newer; under Istio apply the EnvoyFilter in envoy/istio).",
    );
    for (let request = this.guard.take(); request !== null; request = this.guard.take()) request.releaseUnread();
  }

  countUnreadable(): void {
    count(this.unreadable, 1);
  }

  countUsage(usage: UsageReader): void {
    this.input += max(usage.input, 0);
    this.output += max(usage.output, 0);
    this.cached += max(usage.cached, 0);
  }

  onDelete(): void {
    this.flushUsage();
  }

  private flushUsage(): void {
    count(this.inputTokens, this.input);
    count(this.outputTokens, this.output);
    count(this.cachedTokens, this.cached);
    this.input = 0;
    this.output = 0;
    this.cached = 0;
  }

  createStream(): StreamContext {
    return new LlmRouter(this);
  }
}

function count(metric: Metric | null, amount: i64): void {
  if (metric !== null && amount > 0) metric.add(amount);
}

const enum Phase {
  /** Not an LLM request, or refused. */
  Passing = 0,
  WaitingForBody = 1,
  /** Sent on by its model; the answer is looked through for usage. */
  Routed = 2,
}

export class LlmRouter extends HttpContext {
  private phase: Phase = Phase.Passing;
  private anthropic: bool = false;
  private hasContentLength: bool = false;
  /** Bytes of the body held by Envoy. */
  private buffered: i32 = 0;
  /** The body was read and is a JSON object; `model` then describes it until this callback returns. */
  private parsed: bool = false;
  private readonly usage: UsageReader = new UsageReader();

  constructor(private readonly root: LlmRouterRoot) {
    super(root);
  }

  onCreate(): void {
    this.phase = Phase.Passing;
    this.anthropic = false;
    this.hasContentLength = false;
    this.buffered = 0;
    this.parsed = false;
  }

  /** The only end that every stream reaches; what an aborted answer had shown of its usage still counts. */
  onDelete(): void {
    if (this.phase == Phase.WaitingForBody) this.root.guard.forget(this);
    else if (this.phase == Phase.Routed && this.usage.seen) this.root.countUsage(this.usage);
  }

  onRequestHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    if (pairs.load(MapType.HttpRequestHeaders) != Status.Ok) return this.passUnread();
    path.clear();
    let post = false;
    let compressed = false;
    let declared: i64 = -1;
    while (pairs.next()) {
      const name = pairs.name;
      const first: u8 = name.len > 0 ? name.at(0) : 0;
      if (first == 0x3a) {
        if (name.equals(PATH)) path.set(pairs.value.ptr, pairs.value.len);
        else if (name.equals(METHOD)) post = pairs.value.equals(POST);
      } else if (first == 0x63) {
        if (name.equals(CONTENT_LENGTH)) declared = decimal(pairs.value);
        else if (name.equals(CONTENT_ENCODING)) compressed = !pairs.value.equalsIgnoreCase(IDENTITY);
      } else if (first == 0x78) {
        if (name.startsWith(RESERVED_PREFIX) || name.equals(DESTINATION)) headers.remove(MapType.HttpRequestHeaders, name);
      }
    }
    if (!post || !this.isLlmPath()) return FilterHeadersStatus.Continue;

    this.hasContentLength = declared >= 0;
    const config = this.root.config;
    let decided = true;
    if (compressed) decided = this.fallBack(config.onMalformedBody, unsupportedEncoding, nothing);
    else if (declared > <i64>config.maxBodyBytes) decided = this.fallBack(config.onBodyTooLarge, bodyTooLarge, nothing);
    else if (endOfStream) decided = this.fallBack(config.onMalformedBody, invalidJson, nothing);
    else if (this.root.guard.state == Body.Unreadable) decided = this.withoutBody();
    else {
      this.phase = Phase.WaitingForBody;
      this.root.guard.watch(this);
      return FilterHeadersStatus.StopIteration;
    }
    return decided ? FilterHeadersStatus.Continue : FilterHeadersStatus.StopIteration;
  }

  /** Headers that cannot be read cannot be routed by; the ones that choose a route are still not taken from the client. */
  private passUnread(): FilterHeadersStatus {
    headers.remove(MapType.HttpRequestHeaders, this.root.config.routeHeader);
    headers.remove(MapType.HttpRequestHeaders, MODEL_HEADER);
    headers.remove(MapType.HttpRequestHeaders, DESTINATION);
    return FilterHeadersStatus.Continue;
  }

  onRequestBody(size: i32, endOfStream: bool): FilterDataStatus {
    if (this.phase != Phase.WaitingForBody) return FilterDataStatus.Continue;
    if (this.root.guard.state == Body.Unknown) this.root.guard.proveReadable();
    this.buffered = size;
    let go = true;
    if (size > this.root.config.maxBodyBytes) {
      this.phase = Phase.Passing;
      go = this.fallBack(this.root.config.onBodyTooLarge, bodyTooLarge, nothing);
    } else if (endOfStream) {
      this.phase = Phase.Passing;
      go = this.decide();
    } else {
      return FilterDataStatus.StopIterationAndBuffer;
    }
    return go ? FilterDataStatus.Continue : FilterDataStatus.StopIterationNoBuffer;
  }

  /** With trailers, they and not the last body callback end the request. */
  onRequestTrailers(count: i32): FilterTrailersStatus {
    if (this.phase != Phase.WaitingForBody) return FilterTrailersStatus.Continue;
    this.phase = Phase.Passing;
    return this.decide() ? FilterTrailersStatus.Continue : FilterTrailersStatus.StopIteration;
  }

  onResponseBody(size: i32, endOfStream: bool): FilterDataStatus {
    if (this.phase != Phase.Routed) return FilterDataStatus.Continue;
    for (let at = 0; at < size; at += WINDOW) {
      const mark = scratch.mark();
      if (buffer.get(BufferType.HttpResponseBody, at, WINDOW, chunk) != Status.Ok) break;
      this.usage.feed(chunk.ptr, chunk.len);
      scratch.rewind(mark);
    }
    return FilterDataStatus.Continue;
  }

  /** Called on a tick, with this stream as the effective context, when its body will never be seen. */
  releaseUnread(): void {
    this.phase = Phase.Passing;
    if (stream.setEffectiveContext(this.id) != Status.Ok) return;
    if (this.withoutBody()) stream.resume(StreamType.HttpRequest);
  }

  private withoutBody(): bool {
    this.root.countUnreadable();
    return this.fallBack(this.root.config.onBodyUnreadable, bodyUnreadable, nothing);
  }

  private isLlmPath(): bool {
    const query = path.indexOf(0x3f);
    if (query >= 0) path.len = query;
    const suffixes = this.root.config.paths;
    for (let i = 0; i < suffixes.length; i++) {
      if (path.endsWith(unchecked(suffixes[i]))) {
        this.anthropic = path.endsWith(MESSAGES);
        return true;
      }
    }
    return false;
  }

  /** The body is complete: reads it and routes the request. False when it was answered instead. */
  private decide(): bool {
    const config = this.root.config;
    const body = scanBody(this.buffered, config.lastModelWins);
    this.parsed = body == BodyStatus.Object;
    if (body == BodyStatus.Ambiguous) return this.refuse(ambiguousModel, nothing);
    if (!this.parsed) return this.fallBack(config.onMalformedBody, invalidJson, nothing);
    if (model.kind != JsonKind.String || model.length == 0) return this.fallBack(config.onMissingModel, modelRequired, nothing);
    modelName.set(model.value, model.length);
    const rule = isModelName(modelName) ? config.models.find(modelName) : null;
    if (rule === null) return this.fallBack(config.onUnknownModel, modelNotFound, modelName);
    headers.replace(MapType.HttpRequestHeaders, MODEL_HEADER, modelName);
    return this.route(rule);
  }

  /** Takes the configured default, or refuses. */
  private fallBack(fallback: Fallback, refusal: Refusal, subject: Bytes): bool {
    const rule = fallback.rule;
    return rule === null ? this.refuse(refusal, subject) : this.route(rule);
  }

  private refuse(refusal: Refusal, subject: Bytes): bool {
    refusal.send(this.anthropic, subject);
    return false;
  }

  private route(rule: ModelRule): bool {
    this.phase = Phase.Routed;
    this.usage.reset();
    headers.replace(MapType.HttpRequestHeaders, this.root.config.routeHeader, rule.route);
    // A body that was not read, or is no JSON object, has no place for another model name.
    return !this.parsed || rule.upstreamModel.len == 0 || this.rename(rule);
  }

  /** Puts the upstream's model name in place of the client's, or in front of the other members when there was none. */
  private rename(rule: ModelRule): bool {
    let start = <i32>model.start;
    let end = <i32>model.end;
    text.reset();
    if (model.count == 0) {
      start = end = firstMember();
      text.text('"model":').bytes(rule.upstreamToken);
      if (!isEmpty()) text.byte(0x2c);
    } else {
      modelName.set(model.value, model.length);
      if (model.kind == JsonKind.String && modelName.equals(rule.upstreamModel)) return true;
      text.bytes(rule.upstreamToken);
    }
    const replacement = text.view();
    const size = this.buffered - (end - start) + replacement.len;
    // A body of one window is still borrowed; of a longer one only the last window is.
    const head = this.buffered <= WINDOW ? window : nothing;
    if (!replaceInBody(this.buffered, start, end, replacement, head)) return this.refuse(bodyUnreadable, nothing);
    if (this.hasContentLength) {
      headers.replace(MapType.HttpRequestHeaders, CONTENT_LENGTH, text.reset().decimal(size).view());
    }
    return true;
  }
}

/** True for names that are whole, well-formed and may stand in a header value. */
function isModelName(name: Bytes): bool {
  if (model.truncated || model.malformed) return false;
  for (let i = 0; i < name.len; i++) {
    const byte = name.at(i);
    if (byte < 0x20 || byte == 0x7f) return false;
  }
  return true;
}

/** A content-length; -1 for anything that is not a number. Envoy has refused conflicting ones already. */
function decimal(value: Bytes): i64 {
  if (value.len == 0 || value.len > 18) return value.len == 0 ? -1 : i64.MAX_VALUE;
  let result: i64 = 0;
  for (let i = 0; i < value.len; i++) {
    const digit = value.at(i) - 48;
    if (digit > 9) return -1;
    result = result * 10 + digit;
  }
  return result;
}
