/**
 * Statistics of LLM calls under the names of OpenTelemetry's GenAI conventions, as Envoy histograms and counters.
 *
 *   gen_ai_client_token_usage               tokens            gen_ai_token_type = input | output | cached
 *   gen_ai_client_tokens                    tokens            the same as a counter: Envoy's histograms keep two digits, so their sums are no bill
 *   gen_ai_server_request_duration          microseconds      from the request, or the first piece of its body if it comes in pieces, to the end of the answer
 *   gen_ai_server_time_to_first_token       microseconds      streamed answers only
 *   gen_ai_server_time_per_output_token     microseconds      streamed answers only, after the first token
 *
 * Envoy has no labels at this point: they are written into the name, `;key=value` each, and the bootstrap's `stats_tags` take them out again
 * (envoy/standalone/envoy.yaml). How many series there can be is bounded by the configuration: a model that is not measured is `other`.
 *
 * Observations are queued and written on a tick: on the request's way they would cost a hostcall each.
 * Reference: OpenTelemetry semantic conventions for generative AI, metrics.
 */
import { Api } from "../lib/llm-api";
import { Bytes, Metric } from "../sdk";
import { Exchange } from "./exchange";

const enum Kind {
  Input = 0,
  Output = 1,
  Cached = 2,
  Duration = 3,
  FirstToken = 4,
  PerToken = 5,
}
const KINDS: i32 = 6;

/** `Input` to `Cached` are counted too. */
const COUNTED: i32 = 3;

/** Observations that wait for a tick; more are written at once. */
const QUEUE: i32 = 1024;

const OTHER = Bytes.literal("other");

/** The statistics of one combination of labels. */
@final
class Series {
  private readonly metrics: StaticArray<Metric | null> = new StaticArray<Metric | null>(KINDS);
  private readonly counters: StaticArray<Metric | null> = new StaticArray<Metric | null>(COUNTED);
  /** Tokens since the last flush. */
  private readonly sums: StaticArray<i64> = new StaticArray<i64>(COUNTED);

  constructor(
    readonly model: i32,
    readonly target: Bytes,
    readonly api: Api,
    private readonly labels: string,
  ) {}

  record(kind: Kind, value: i64): void {
    let metric = unchecked(this.metrics[kind]);
    if (metric === null) {
      metric = Metric.histogram(metricName(kind, this.labels));
      unchecked((this.metrics[kind] = metric));
    }
    metric.record(value);
    if (kind < COUNTED) unchecked((this.sums[kind] += value));
  }

  /** Adds up what was recorded since the last time. */
  count(): void {
    for (let kind = 0; kind < COUNTED; kind++) {
      const sum = unchecked(this.sums[kind]);
      if (sum == 0) continue;
      unchecked((this.sums[kind] = 0));
      let counter = unchecked(this.counters[kind]);
      if (counter === null) {
        counter = Metric.counter("gen_ai_client_tokens" + this.labels + tokenType(kind));
        unchecked((this.counters[kind] = counter));
      }
      counter.add(sum);
    }
  }
}

@final
export class Telemetry {
  private models: Bytes[] = [];
  private readonly series: Series[] = [];
  private readonly queuedSeries: StaticArray<i32> = new StaticArray<i32>(QUEUE);
  private readonly queuedKind: StaticArray<u8> = new StaticArray<u8>(QUEUE);
  private readonly queuedValue: StaticArray<i64> = new StaticArray<i64>(QUEUE);
  private queued: i32 = 0;

  /** `models` are the names with series of their own. */
  begin(models: Bytes[] | null): void {
    if (models !== null) this.models = models;
  }

  /** Queues what is known of a finished call. `now`: nanoseconds since the epoch. */
  observe(exchange: Exchange, now: u64): void {
    const series = this.seriesOf(exchange);
    const usage = exchange.usage;
    if (usage.inputTotal >= 0) this.queue(series, Kind.Input, usage.inputTotal);
    if (usage.outputTotal >= 0) this.queue(series, Kind.Output, usage.outputTotal);
    if (usage.cached > 0) this.queue(series, Kind.Cached, usage.cached);
    const start = exchange.startedAt;
    // The clock is the wall's: it may have been set back.
    if (start == 0 || now < start) return;
    this.queue(series, Kind.Duration, <i64>((now - start) / 1000));
    const first = exchange.firstByteAt;
    if (first < start || first > now) return;
    this.queue(series, Kind.FirstToken, <i64>((first - start) / 1000));
    if (usage.outputTotal > 1) this.queue(series, Kind.PerToken, <i64>((now - first) / 1000) / (usage.outputTotal - 1));
  }

  /** Writes what is queued. One hostcall an observation. */
  flush(): void {
    for (let i = 0; i < this.queued; i++) {
      unchecked(this.series[this.queuedSeries[i]]).record(unchecked(this.queuedKind[i]), unchecked(this.queuedValue[i]));
    }
    if (this.queued > 0) for (let i = 0; i < this.series.length; i++) unchecked(this.series[i]).count();
    this.queued = 0;
  }

  private queue(series: i32, kind: Kind, value: i64): void {
    if (this.queued == QUEUE) this.flush();
    const at = this.queued++;
    unchecked((this.queuedSeries[at] = series));
    unchecked((this.queuedKind[at] = <u8>kind));
    unchecked((this.queuedValue[at] = value));
  }

  /** Index of the series with the labels of this call; made when it is the first one. O(series). */
  private seriesOf(exchange: Exchange): i32 {
    let model = this.models.length - 1;
    while (model >= 0 && !exchange.model.equals(unchecked(this.models[model]))) model--;
    const all = this.series;
    for (let i = 0; i < all.length; i++) {
      const known = unchecked(all[i]);
      if (known.model == model && known.api == exchange.api && known.target.equals(exchange.target)) return i;
    }
    const name = model < 0 ? OTHER : this.models[model];
    const labels =
      label("gen_ai_request_model", name) +
      ";gen_ai_operation_name=" +
      operation(exchange.api) +
      label("gen_ai_provider_name", exchange.target);
    all.push(new Series(model, exchange.target.copy(), exchange.api, labels));
    return all.length - 1;
  }
}

/** What would end a label, or is no printable ASCII, becomes `_`. */
function label(key: string, value: Bytes): string {
  let text = ";" + key + "=";
  for (let i = 0; i < value.len; i++) {
    const byte = value.at(i);
    text += byte - 0x21 < 0x5e && byte != 0x3b && byte != 0x3d && byte != 0x7c ? String.fromCharCode(byte) : "_";
  }
  return text;
}

function operation(api: Api): string {
  switch (api) {
    case Api.Completions:
      return "text_completion";
    case Api.Embeddings:
      return "embeddings";
    case Api.GeminiGenerate:
      return "generate_content";
    case Api.Other:
      return "other";
    default:
      return "chat";
  }
}

function tokenType(kind: Kind): string {
  return kind == Kind.Input ? ";gen_ai_token_type=input" : kind == Kind.Output ? ";gen_ai_token_type=output" : ";gen_ai_token_type=cached";
}

function metricName(kind: Kind, labels: string): string {
  switch (kind) {
    case Kind.Duration:
      return "gen_ai_server_request_duration" + labels;
    case Kind.FirstToken:
      return "gen_ai_server_time_to_first_token" + labels;
    case Kind.PerToken:
      return "gen_ai_server_time_per_output_token" + labels;
    default:
      return "gen_ai_client_token_usage" + labels + tokenType(kind);
  }
}
