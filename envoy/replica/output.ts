/**
 * Where an answer is written: to the response, or, when a test has asked for a break, to the response until its connection ends in the middle.
 *
 * A break counts server-sent events, not writes: at full speed many events leave in one write.
 */
import type { ServerResponse } from "node:http";

/** Behind each event of the APIs that have several in one write; those with other separators, JSON arrays too, write one at a time. */
const EVENT_END = /(?<=\n\n)/;

interface Break {
  /** Events of a stream that are still sent; any other answer is sent by half. */
  readonly afterEvents: number;
  /** Called right before the connection is ended. */
  readonly onBreak: () => void;
}

export class AnswerOutput {
  private broken = false;
  private eventsLeft: number;

  constructor(
    private readonly response: ServerResponse,
    private readonly planned?: Break,
  ) {
    this.eventsLeft = planned?.afterEvents ?? Number.POSITIVE_INFINITY;
  }

  header(name: string, value: string): void {
    this.response.setHeader(name, value);
  }

  /** `action` is called when the response is over, whichever way. */
  onceClosed(action: () => void): void {
    this.response.once("close", action);
  }

  json(status: number, value: unknown): void {
    this.whole(status, "application/json", Buffer.from(JSON.stringify(value)));
  }

  /** A complete answer with a content-length. */
  whole(status: number, contentType: string, body: Buffer): void {
    this.response.writeHead(status, { "content-type": contentType, "content-length": body.length });
    if (this.planned === undefined) this.response.end(body);
    else this.breakWith(body.subarray(0, body.length >> 1));
  }

  /** Sends the head of a stream, so that the peer has it before the first token. */
  startStream(contentType: string): void {
    this.response.writeHead(200, { "content-type": contentType, "cache-control": "no-cache" });
    this.response.flushHeaders();
    if (this.eventsLeft === 0) this.breakWith("");
  }

  /** Any number of complete events. */
  write(text: string): void {
    if (this.broken) return;
    const sent = this.allowed(text);
    if (this.eventsLeft === 0) this.breakWith(sent);
    else this.response.write(sent);
  }

  end(text: string): void {
    if (this.broken) return;
    if (this.planned === undefined) this.response.end(text);
    else this.breakWith(this.allowed(text)); // an answer with fewer events breaks where it would have ended
  }

  private allowed(text: string): string {
    if (this.planned === undefined || text === "") return text;
    const events = text.split(EVENT_END).slice(0, this.eventsLeft);
    this.eventsLeft -= events.length;
    return events.join("");
  }

  /** Ends the connection behind `last` without the end of the body: what has been written still arrives. */
  private breakWith(last: string | Buffer): void {
    this.broken = true;
    this.planned?.onBreak();
    if (last.length > 0) this.response.write(last);
    this.response.socket?.destroySoon();
  }
}
