import { Bytes, FilterHeadersStatus, foreign, HttpContext, log, LogLevel, MetricType, Metric, property, registerRoot, RootContext, sharedData, sharedQueue, Status, StreamContext, time } from "../../../filters/sdk";
import { note, op, say, show } from "./lib/say";

export * from "../../../filters/sdk/exports/lifecycle";
export { proxy_on_request_headers } from "../../../filters/sdk/exports/http";
export { proxy_on_queue_ready, proxy_on_tick } from "../../../filters/sdk/exports/root";

const value = new Bytes();
const COUNTER = Bytes.literal("counter");
const QUEUE = Bytes.literal("jobs");
let counter: Metric = changetype<Metric>(0);
let gauge: Metric = changetype<Metric>(0);
let histogram: Metric = changetype<Metric>(0);

class Root extends RootContext {
  ticks: i32 = 0;
  queue: u32 = 0;
  onConfigure(size: i32): bool {
    counter = Metric.counter("sdk_requests");
    gauge = Metric.gauge("sdk_level");
    histogram = Metric.histogram("sdk_size");
    if (sharedQueue.register(QUEUE) == Status.Ok) this.queue = sharedQueue.lastId();
    time.setTickPeriod(50);
    return true;
  }
  onTick(): void {
    this.ticks++;
    if (this.ticks == 3) {
      note("three ticks at " + (time.now() / 1_000_000 % 1_000_000).toString());
      time.setTickPeriod(0);
    }
  }
  onQueueReady(id: u32): void {
    note("ready " + (id == this.queue).toString() + " " + show(sharedQueue.dequeue(id, value), value));
    note("then " + show(sharedQueue.dequeue(id, value), value));
  }
  createStream(): StreamContext {
    return new Stream(this);
  }
}

class Stream extends HttpContext {
  onRequestHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    const what = op();
    if (what == "count") {
      // Read, add one, compare and swap, until it holds.
      for (let attempt = 0; attempt < 10; attempt++) {
        let next: i64 = 1;
        const status = sharedData.get(COUNTER, value);
        const cas = status == Status.Ok ? sharedData.cas() : 0;
        if (status == Status.Ok) next = I64.parseInt(value.toString()) + 1;
        const written = sharedData.set(COUNTER, Bytes.literal(next.toString()), cas);
        if (written != Status.CasMismatch) {
          say("count", next.toString() + " after " + attempt.toString());
          break;
        }
      }
    } else if (what == "shared-missing") {
      say("missing", show(sharedData.get(Bytes.literal("none"), value), value));
      say("empty", sharedData.set(Bytes.literal("e"), new Bytes(), 0).toString() + show(sharedData.get(Bytes.literal("e"), value), value));
      say("outside", sharedData.set(new Bytes(0xfffffff0, 100), value, 0).toString());
    } else if (what == "metrics") {
      say("counter", counter.add(2).toString() + counter.add(0).toString() + counter.add(-1).toString() + " " + counter.value().toString());
      say("gauge", gauge.record(7).toString() + gauge.add(-3).toString() + " " + gauge.value().toString());
      say("histogram", histogram.record(9).toString() + histogram.add(1).toString() + " " + histogram.value().toString());
      say("same", (Metric.counter("sdk_requests") == counter).toString());
      const bad = Metric.define(changetype<MetricType>(9), "bad");
      say("bad", bad.add(1).toString() + bad.record(1).toString());
    } else if (what == "enqueue") {
      say("resolve", sharedQueue.resolve(new Bytes(), QUEUE).toString());
      say("enqueue", sharedQueue.enqueue(sharedQueue.lastId(), Bytes.literal("job")).toString());
      say("unknown", sharedQueue.resolve(new Bytes(), Bytes.literal("none")).toString() + sharedQueue.enqueue(999, QUEUE).toString() + show(sharedQueue.dequeue(999, value), value));
    } else if (what == "property") {
      say("path", show(property.get(Bytes.literal("request\0path"), value), value));
      say("total", property.integer(Bytes.literal("request\0total_size"), -1).toString());
      say("text", property.integer(Bytes.literal("request\0path"), -1).toString());
      say("none", property.integer(Bytes.literal("no\0thing"), -7).toString() + " " + show(property.get(Bytes.literal("nothing"), value), value));
      say("set", property.set(Bytes.literal("mine"), Bytes.literal("v")).toString() + show(property.get(Bytes.literal("mine"), value), value));
      say("outside", property.get(new Bytes(0xfffffff0, 100), value).toString());
    } else if (what == "foreign") {
      const text = Bytes.literal("squeeze squeeze squeeze");
      const packed = new Bytes();
      say("compress", foreign.call(Bytes.literal("compress"), text, packed).toString());
      say("uncompress", show(foreign.call(Bytes.literal("uncompress"), packed, value), value));
      say("unknown", show(foreign.call(Bytes.literal("nope"), text, value), value));
      say("own", show(foreign.call(Bytes.literal("test_only"), text, value), value));
    } else if (what == "log") {
      note("level " + log.enabled(LogLevel.Debug).toString() + log.enabled(LogLevel.Info).toString());
      log.text(LogLevel.Debug, "too quiet");
      log.text(LogLevel.Error, "loud \u00e9");
      say("bad", log.bytes(changetype<LogLevel>(17), COUNTER).toString() + log.bytes(LogLevel.Error, new Bytes(0xfffffff0, 100)).toString());
    } else if (what == "time") {
      say("now", time.now().toString());
    }
    return FilterHeadersStatus.Continue;
  }
}

registerRoot("state", () => new Root());
