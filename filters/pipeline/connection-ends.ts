/**
 * Where an HTTP stream that ends before its upstream does meets the filter of the connection that carries it (filters/stream-end), in the same VM.
 *
 * No HTTP filter can end an answer. Envoy writes what a callback passes on before anything else happens in this worker, and the filter of the connection sees that write.
 * So the stream says here which bytes of it are to be written, and the connection puts there what belongs to them. What is not written at once is forgotten, and then
 * the stream goes on as if there were no such filter: at most one is awaited at any time.
 *
 *   head    of an answer that may end early: HTTP/1.1 gets `connection: close`, because the connection ends with it and clients must not use it again
 *   text    the last bytes of an answer: the end of the message comes behind them
 */
import { Bytes, Metric, property, Status } from "../sdk";

const CONNECTION_ID = Bytes.literal("connection\0id");
const PROTOCOL = Bytes.literal("request\0protocol");
const HTTP_1_0 = Bytes.literal("HTTP/1.0");
const HTTP_1_1 = Bytes.literal("HTTP/1.1");
const HTTP_2 = Bytes.literal("HTTP/2");

export const enum HttpVersion {
  Http10 = 0,
  Http11 = 1,
  Http2 = 2,
  Other = 3,
}

const value = new Bytes();

/** An answer that may end early. */
@final
export class StreamEnd {
  /** Context id of the HTTP stream, and its connection; -1: nobody can end it. */
  stream: u32 = 0;
  connection: i64 = -1;
  version: HttpVersion = HttpVersion.Other;
  /** The client knows that the connection ends with this answer. */
  announced: bool = false;
  /** What is awaited: all that the last callback passed on, else the head. Valid while it is. */
  readonly text: Bytes = new Bytes();
  /** The connection has begun to look for the text. */
  sought: bool = false;
  /** The connection has ended the message: nothing of the stream may be written any more. */
  done: bool = false;

  /** Ready for another stream. */
  begin(stream: u32): void {
    this.stream = stream;
    this.connection = -1;
    this.announced = false;
    this.done = false;
    this.text.clear();
  }
}

let awaited: StreamEnd | null = null;
let connections: i32 = 0;
let ended: Metric | null = null;
let dropped: Metric | null = null;

export namespace connectionEnds {
  /** A connection that can end streams begins. */
  export function open(): void {
    connections++;
  }

  export function close(): void {
    connections--;
  }

  /** The head of the current stream's answer is passed on. Two hostcalls where connections can end streams. */
  export function begin(end: StreamEnd): void {
    awaited = null;
    if (connections == 0) return;
    end.version = version();
    if (end.version == HttpVersion.Other) return;
    end.connection = property.integer(CONNECTION_ID, -1);
    if (end.version == HttpVersion.Http11 && end.connection >= 0) awaited = end;
  }

  /** `text` is passed on to the client, and nothing will be behind it. */
  export function expect(end: StreamEnd, text: Bytes): void {
    awaited = null;
    if (end.connection < 0 || text.len == 0 || (end.version == HttpVersion.Http11 && !end.announced)) return;
    end.text.set(text.ptr, text.len);
    end.sought = false;
    awaited = end;
  }

  /** The stream whose bytes come with this write to `connection`, if there is one. */
  @inline
  export function on(connection: i64): StreamEnd | null {
    const end = awaited;
    return end !== null && end.connection == connection ? end : null;
  }

  /** Something else happens than that the passed bytes are written. */
  @inline
  export function forget(): void {
    awaited = null;
  }

  /** A stream that was ended early is over. Such a statistic is made when it is needed. */
  export function count(end: StreamEnd): void {
    let metric = end.done ? ended : dropped;
    if (metric === null) {
      metric = Metric.counter(end.done ? "tokenmesh_llm_streams_stopped;outcome=ended" : "tokenmesh_llm_streams_stopped;outcome=dropped");
      if (end.done) ended = metric;
      else dropped = metric;
    }
    metric.add(1);
  }
}

function version(): HttpVersion {
  if (property.get(PROTOCOL, value) != Status.Ok) return HttpVersion.Other;
  if (value.equals(HTTP_2)) return HttpVersion.Http2;
  if (value.equals(HTTP_1_1)) return HttpVersion.Http11;
  return value.equals(HTTP_1_0) ? HttpVersion.Http10 : HttpVersion.Other;
}
