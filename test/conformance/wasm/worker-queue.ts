/**
 * Each root has a queue of its own, under a number that it takes from shared data, and reports what wakes it. Requests with `x-item` put that into the queue of number `x-to`; every answer says
 * whose worker gave it. `x-trap` traps.
 */
import { Bytes, FilterHeadersStatus, headers, HttpContext, log, LogLevel, MapType, PairsWriter, registerRoot, RootContext, sharedData, sharedQueue, Status, stream, StreamContext } from "../../../filters/sdk";

export * from "../../../filters/sdk/exports/lifecycle";
export { proxy_on_request_headers } from "../../../filters/sdk/exports/http";
export { proxy_on_queue_ready } from "../../../filters/sdk/exports/root";

const COUNT = Bytes.literal("worker-queue.count");
const TO = Bytes.literal("x-to");
const ITEM = Bytes.literal("x-item");
const TRAP = Bytes.literal("x-trap");
const value = new Bytes();
const none = new Bytes();

const nameOf = (number: string): Bytes => Bytes.literal("worker-queue." + number);

function takeNumber(): i32 {
  let number = 0;
  while (number == 0) {
    const there = sharedData.get(COUNT, value) == Status.Ok;
    const last = there ? <i32>I32.parseInt(value.toString()) : 0;
    // A version that is never given: only who finds no key may make it.
    if (sharedData.set(COUNT, Bytes.literal((last + 1).toString()), there ? sharedData.cas() : 0xffffffff) == Status.Ok) number = last + 1;
  }
  return number;
}

class Root extends RootContext {
  number: i32 = 0;
  queue: u32 = 0;

  onConfigure(size: i32): bool {
    this.number = takeNumber();
    if (sharedQueue.register(nameOf(this.number.toString())) == Status.Ok) this.queue = sharedQueue.lastId();
    return this.queue != 0;
  }

  onQueueReady(id: u32): void {
    while (sharedQueue.dequeue(id, value) == Status.Ok) {
      log.text(LogLevel.Info, "conformance|queue|" + this.number.toString() + (id == this.queue ? " own " : " other ") + value.toString());
    }
  }

  createStream(): StreamContext {
    return new Stream(this);
  }
}

class Stream extends HttpContext {
  onRequestHeaders(count: i32, endOfStream: bool): FilterHeadersStatus {
    if (headers.get(MapType.HttpRequestHeaders, TRAP, value) == Status.Ok) unreachable();
    const number = changetype<Root>(this.parent).number.toString();
    let code = 200;
    if (headers.get(MapType.HttpRequestHeaders, TO, value) == Status.Ok) {
      const to = nameOf(value.toString());
      headers.get(MapType.HttpRequestHeaders, ITEM, value);
      if (sharedQueue.resolve(none, to) != Status.Ok || sharedQueue.enqueue(sharedQueue.lastId(), value) != Status.Ok) code = 404;
    }
    stream.respond(code, none, Bytes.literal(number), new PairsWriter());
    return FilterHeadersStatus.StopIteration;
  }
}
registerRoot("worker-queue", () => new Root());
