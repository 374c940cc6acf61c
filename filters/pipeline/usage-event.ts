/**
 * Tells the event that only reports usage from all others, as soon as its bytes allow it.
 *
 * It is the one that OpenAI, vLLM, SGLang and others send last for `stream_options.include_usage`: an object whose `choices` is an empty list and whose `usage` is
 * an object. Providers that put usage into an event with choices, and `"usage":null` in all others, are not meant. Most events are known for another at the first
 * byte of their choices, so little of a stream is ever parsed. O(bytes), no allocation, never throws.
 */
import { JsonKind } from "../lib/json-scanner";
import { JsonWalker } from "../lib/json-walker";
import { ROOT, WalkEvent } from "../lib/walk-event";

const CHOICES: i32 = 1;

@final
export class UsageEvent {
  /** It is another event, whatever follows. */
  other: bool = false;

  private readonly walker: JsonWalker = new JsonWalker();
  private choices: bool = false;
  private usage: bool = false;
  private complete: bool = false;

  /** Ready for the data of another event. */
  begin(): void {
    this.walker.reset();
    this.other = false;
    this.choices = false;
    this.usage = false;
    this.complete = false;
  }

  /** The data so far is that of the event which only reports usage. */
  get found(): bool {
    return this.complete && this.choices && this.usage && !this.other;
  }

  /** Reads on in the data. Returns how many bytes were needed: fewer than `length` when the event turned out to be another one. */
  feed(from: usize, length: i32): i32 {
    const walker = this.walker;
    const before = walker.consumed;
    walker.feed(from, length);
    while (!this.other) {
      const event = walker.next();
      if (event == WalkEvent.Begin) {
        this.value();
      } else if (event != WalkEvent.End) {
        this.complete = event == WalkEvent.Complete;
        this.other = event == WalkEvent.Invalid || event == WalkEvent.Limit;
        break;
      }
    }
    return <i32>(walker.consumed - before);
  }

  private value(): void {
    const walker = this.walker;
    const kind = walker.kind;
    if (walker.scope == CHOICES) {
      this.other = true;
    } else if (walker.scope == ROOT && walker.keyIs("choices")) {
      this.choices = true;
      if (kind == JsonKind.Array) walker.enter(CHOICES);
      else this.other = true;
    } else if (walker.scope == ROOT && walker.keyIs("usage")) {
      this.usage = true;
      this.other = kind != JsonKind.Object;
    }
  }
}
