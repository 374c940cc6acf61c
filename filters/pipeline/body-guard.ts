/**
 * Notices that Envoy will never hand over a request body.
 *
 * Without `allow_on_headers_stop_iteration` in the plugin configuration, a filter that stops at the headers gets no body callback, and
 * the request hangs for ever. Time alone proves nothing, a slow client looks the same. The proof is that Envoy has received body bytes
 * (`request.total_size` beyond the size of the headers) while no body callback came. Until the first body callback shows that all is
 * well, waiting requests are looked at on every tick; afterwards the guard costs nothing.
 */
import { Bytes, headers, HttpContext, MapType, property, Status, stream } from "../sdk";

const TOTAL_SIZE = Bytes.literal("request\0total_size");

export const enum Body {
  /** No evidence yet. */
  Unknown = 0,
  /** A body callback came: the flag is set. */
  Readable = 1,
  /** Body bytes arrived and no callback came: the flag is missing. */
  Unreadable = 2,
}

@final
export class BodyGuard<T extends HttpContext> {
  state: Body = Body.Unknown;
  private readonly waiting: T[] = [];

  /** A request stopped at its headers. Does nothing once the state is known. */
  watch(request: T): void {
    if (this.state == Body.Unknown) this.waiting.push(request);
  }

  /** A body callback came. */
  proveReadable(): void {
    this.state = Body.Readable;
    this.waiting.length = 0;
  }

  /** The request ended or goes on. O(waiting), while nothing is proven. */
  forget(request: T): void {
    if (this.state != Body.Unknown) return;
    const at = this.waiting.indexOf(request);
    if (at < 0) return;
    this.waiting[at] = this.waiting[this.waiting.length - 1];
    this.waiting.pop();
  }

  /** Looks for the proof that bodies are withheld; true when it was found now, and `take()` then yields the waiting requests. */
  check(): bool {
    if (this.state != Body.Unknown) return false;
    for (let i = 0; i < this.waiting.length; i++) {
      if (stream.setEffectiveContext(this.waiting[i].id) != Status.Ok) continue;
      const headerBytes = headers.byteSize(MapType.HttpRequestHeaders);
      if (headerBytes >= 0 && property.integer(TOTAL_SIZE, 0) > <i64>headerBytes) {
        this.state = Body.Unreadable;
        return true;
      }
    }
    return false;
  }

  /** Next waiting request after a positive `check()`, or null. */
  take(): T | null {
    return this.waiting.length > 0 ? this.waiting.pop() : null;
  }
}
