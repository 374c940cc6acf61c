/**
 * News for requests that wait, kept until no stream is in a callback: a local reply to another stream would stop the one that is in it (a host counts it for the
 * callback, not for the stream), and what is done to another stream makes that the effective one.
 *
 * A shared queue of this VM alone brings a callback of the root at once; should the host have none, a tick does it.
 */
import { StageHost } from "../pipeline/stage";
import { Bytes, ByteWriter, hexDigit, random, sharedQueue, Status } from "../sdk";
import { FlightNews } from "../state/flight-board";

const NAME = "tm.pc.n.";

export interface NewsTaker {
  take(ticket: u32, news: FlightNews): void;
}

@final
export class DeferredNews {
  private readonly tickets: u32[] = [];
  private readonly news: FlightNews[] = [];
  /** Of those, done with. */
  private next: i32 = 0;
  /** 0: not open yet, or the host has none. */
  private queue: u32 = 0;
  private opened: bool = false;
  private readonly letter: Bytes = Bytes.literal("n");
  private readonly received: Bytes = new Bytes();

  /** A hostcall for the first one. */
  add(ticket: u32, news: FlightNews, host: StageHost | null): void {
    this.tickets.push(ticket);
    this.news.push(news);
    if (this.tickets.length - this.next > 1) return;
    if (!this.opened) this.open();
    const sent = this.queue != 0 && sharedQueue.enqueue(this.queue, this.letter) == Status.Ok;
    if (!sent && host !== null) host.hurry();
  }

  /** For `Stage.onQueueReady`: true when the queue is this one's. */
  isReady(queue: u32): bool {
    if (queue != this.queue || queue == 0) return false;
    while (sharedQueue.dequeue(queue, this.received) == Status.Ok) {}
    return true;
  }

  get waits(): bool {
    return this.next < this.tickets.length;
  }

  /** Only in a callback of the root. News that come meanwhile are told too. */
  tell(taker: NewsTaker): void {
    while (this.next < this.tickets.length) {
      const at = this.next++;
      taker.take(unchecked(this.tickets[at]), unchecked(this.news[at]));
    }
    this.tickets.length = 0;
    this.news.length = 0;
    this.next = 0;
  }

  private open(): void {
    this.opened = true;
    const name = new ByteWriter();
    const bits = random.bits();
    name.text(NAME);
    for (let shift = 60; shift >= 0; shift -= 4) name.byte(hexDigit(<u8>((bits >> shift) & 15)));
    if (sharedQueue.register(name.view()) == Status.Ok) this.queue = sharedQueue.lastId();
    name.release();
  }
}
