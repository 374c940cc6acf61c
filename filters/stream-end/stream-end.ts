/**
 * The network filter `llm-stream-end`, in front of the HttpConnectionManager: ends streams that were stopped, and has their upstreams stopped.
 *
 * A connection that is closed, or a stream that is reset, while Envoy writes loses what is being written. So that happens on the next tick, and until then nothing is
 * written behind the end: the HTTP side holds back what comes (HTTP/2), or the connection drops it (HTTP/1).
 */
import { RootContext, Status, stream, StreamContext, StreamType, time } from "../sdk";
import { Connection } from "./connection";

/** Milliseconds: as soon as it can be. */
const SOON: i32 = 1;

@final
export class StreamEndRoot extends RootContext {
  /** Context ids of what is to be closed. */
  private readonly connections: u32[] = [];
  private readonly streams: u32[] = [];
  private ticks: bool = false;

  createStream(): StreamContext {
    return new Connection(this);
  }

  /** Closes it when it has written what it holds. */
  closeConnection(id: u32): void {
    this.connections.push(id);
    this.soon();
  }

  resetStream(id: u32): void {
    this.streams.push(id);
    this.soon();
  }

  /** Closing one ends contexts while it lasts, and begins none. Ids are not used again, so those that are gone by now are unknown. */
  onTick(): void {
    this.ticks = false;
    time.setTickPeriod(0);
    const connections = this.connections;
    while (connections.length > 0) {
      if (stream.setEffectiveContext(connections.pop()) == Status.Ok) stream.close(StreamType.Downstream);
    }
    const streams = this.streams;
    while (streams.length > 0) {
      if (stream.setEffectiveContext(streams.pop()) == Status.Ok) stream.close(StreamType.HttpResponse);
    }
  }

  /** Asking again would begin the wait anew. */
  private soon(): void {
    if (this.ticks) return;
    this.ticks = true;
    time.setTickPeriod(SOON);
  }
}
