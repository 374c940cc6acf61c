/**
 * Reads token usage out of an answer while it streams by: JSON or SSE, of the OpenAI, Anthropic, Gemini and compatible APIs.
 *
 * Looks for the member `usage`, `usageMetadata` or `usage_metadata` of the outermost object or of one in it (usage-search.ts), cut anywhere, and collects the counts in it.
 * Deeper ones are not the API's: a model may have written them. Parsing every SSE event as a document would cost several times as much for the same numbers.
 *
 * Each count keeps its last value and is never added up. That merges Anthropic's `message_start` (input) and `message_delta` (output), and takes the last of the APIs that
 * repeat a running total in every chunk. O(bytes), no allocation, never throws.
 */

import { Api } from "./llm-api";
import { UsageCount, usageCount } from "./usage-keys";
import { UsageSearch } from "./usage-search";

/** Counts beyond this are nonsense; digits behind it are ignored. */
const MAX_COUNT: i64 = 1_000_000_000_000;
/** Longest key worth comparing; all wanted ones are shorter. */
const MAX_KEY: i32 = 32;

const enum State {
  /** Outside of usage objects: `UsageSearch` has the word. */
  Searching,
  Members,
  Key,
  KeyEscape,
  Colon,
  Value,
  Number,
  Text,
  TextEscape,
  /** Inside a list, or an object that is nested too deep. */
  Skipped,
  /** Behind a value, and in literals. */
  Behind,
}

@final
export class UsageReader {
  /** Tokens as the answer reports them, -1 while unknown. What includes what differs between the APIs: see `inputTotal` and `outputTotal`. */
  input: i64 = -1;
  output: i64 = -1;
  /** Of the input: read from the provider's prompt cache. */
  cached: i64 = -1;
  /** Of the input: written to that cache. */
  cacheWrite: i64 = -1;
  /** Of the output: thoughts. */
  reasoning: i64 = -1;

  private api: Api = Api.ChatCompletions;
  private toolInput: i64 = -1;
  private total: i64 = -1;
  private state: State = State.Searching;
  /** 1 in the usage object, 2 in an object inside of it. */
  private depth: i32 = 0;
  /** Brackets open in `Skipped`. */
  private skipped: i32 = 0;
  private keyLength: i32 = 0;
  private number: i64 = 0;
  private readonly key: StaticArray<u8> = new StaticArray<u8>(MAX_KEY);
  private readonly search: UsageSearch = new UsageSearch();

  /** Ready for an answer of this API. */
  reset(api: Api = Api.ChatCompletions): void {
    this.api = api;
    this.input = -1;
    this.output = -1;
    this.cached = -1;
    this.cacheWrite = -1;
    this.reasoning = -1;
    this.toolInput = -1;
    this.total = -1;
    this.state = State.Searching;
    this.search.reset();
    this.skipped = 0;
  }

  /** As if an answer had reported these totals; -1 for what is not known. */
  assume(inputTotal: i64, outputTotal: i64, cached: i64): void {
    this.reset();
    this.input = inputTotal;
    this.output = outputTotal;
    this.cached = cached;
  }

  /** True when any count was seen. */
  get seen(): bool {
    return this.input >= 0 || this.output >= 0;
  }

  /**
   * All tokens that went in, those from and to the cache included, -1 while unknown. OpenAI and Gemini report that number themselves (Gemini without tool
   * results, which are added); Anthropic's `input_tokens` are only those that the cache had nothing to do with.
   */
  get inputTotal(): i64 {
    if (this.input < 0) return -1;
    if (this.api == Api.AnthropicMessages) return this.input + max(this.cached, 0) + max(this.cacheWrite, 0);
    return this.input + max(this.toolInput, 0);
  }

  /**
   * All tokens that were generated, thoughts included, -1 while unknown. OpenAI and Anthropic report that number themselves. Gemini's candidates are counted without
   * thoughts, and so are the completions of xAI and its like; those are known by a total that only adds up with the thoughts.
   */
  get outputTotal(): i64 {
    const visible = max(this.output, 0);
    const thoughts = max(this.reasoning, 0);
    if (this.api == Api.GeminiGenerate) return this.output < 0 && this.reasoning < 0 ? -1 : visible + thoughts;
    if (this.output < 0) return -1;
    const apart = this.input >= 0 && this.total == this.input + visible + thoughts;
    return apart ? visible + thoughts : visible;
  }

  /** Consumes the next `length` bytes of the answer. */
  feed(from: usize, length: i32): void {
    let at = from;
    const end = from + <usize>length;
    while (at < end) {
      if (this.state == State.Searching) {
        at = this.search.find(at, end);
        if (this.search.found) {
          this.depth = 1;
          this.state = State.Members;
        }
      } else {
        this.step(load<u8>(at));
        at++;
      }
    }
  }

  /** One byte of a usage object; back to searching at its end or at anything unexpected. */
  private step(byte: u8): void {
    const space = byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09;
    switch (this.state) {
      case State.Members: {
        if (byte == 0x22) {
          this.keyLength = 0;
          this.state = State.Key;
        } else if (byte == 0x7d) {
          this.close();
        } else if (!space && byte != 0x2c) this.abandon(byte);
        return;
      }
      case State.Key: {
        if (byte == 0x22) this.state = State.Colon;
        else if (byte == 0x5c) this.state = State.KeyEscape;
        else if (this.keyLength < MAX_KEY) unchecked((this.key[this.keyLength++] = byte));
        return;
      }
      case State.KeyEscape: {
        // No wanted key has an escape; make it unmatchable.
        this.keyLength = MAX_KEY;
        this.state = State.Key;
        return;
      }
      case State.Colon: {
        if (byte == 0x3a) this.state = State.Value;
        else if (!space) this.abandon(byte);
        return;
      }
      case State.Value: {
        if (!space) this.beginValue(byte);
        return;
      }
      case State.Number: {
        if (byte - 48 < 10) {
          if (this.number < MAX_COUNT) this.number = this.number * 10 + (byte - 48);
          return;
        }
        this.store();
        this.state = State.Behind;
        this.endValue(byte);
        return;
      }
      case State.Text: {
        if (byte == 0x22) this.state = this.skipped > 0 ? State.Skipped : State.Behind;
        else if (byte == 0x5c) this.state = State.TextEscape;
        return;
      }
      case State.TextEscape: {
        this.state = State.Text;
        return;
      }
      case State.Skipped: {
        if (byte == 0x22) this.state = State.Text;
        else if (byte == 0x7b || byte == 0x5b) this.skipped++;
        else if ((byte == 0x7d || byte == 0x5d) && --this.skipped == 0) this.state = State.Behind;
        return;
      }
      default:
        this.endValue(byte);
    }
  }

  private beginValue(byte: u8): void {
    if (byte - 48 < 10) {
      this.number = byte - 48;
      this.state = State.Number;
    } else if (byte == 0x22) {
      this.state = State.Text;
    } else if (byte == 0x7b && this.depth == 1) {
      this.depth = 2;
      this.state = State.Members;
    } else if (byte == 0x7b || byte == 0x5b) {
      this.skipped = 1;
      this.state = State.Skipped;
    } else if (byte == 0x2c || byte == 0x7d || byte == 0x5d) {
      this.abandon(byte);
    } else {
      this.state = State.Behind;
    }
  }

  private endValue(byte: u8): void {
    if (byte == 0x2c) this.state = State.Members;
    else if (byte == 0x7d) this.close();
    else if (byte == 0x22 || byte == 0x7b || byte == 0x5b || byte == 0x5d) this.abandon(byte);
  }

  /** No usage object, after all: `byte` is the first that does not fit. */
  private abandon(byte: u8): void {
    this.state = State.Searching;
    this.search.resume(this.depth, byte);
  }

  private close(): void {
    if (--this.depth > 0) {
      this.state = State.Behind;
      return;
    }
    this.state = State.Searching;
    this.search.resume(0, 0);
  }

  private store(): void {
    switch (usageCount(changetype<usize>(this.key), this.keyLength, this.depth > 1)) {
      case UsageCount.Input: {
        this.input = this.number;
        return;
      }
      case UsageCount.Output: {
        this.output = this.number;
        return;
      }
      case UsageCount.Total: {
        this.total = this.number;
        return;
      }
      case UsageCount.Cached: {
        this.cached = this.number;
        return;
      }
      case UsageCount.CacheWrite: {
        this.cacheWrite = this.number;
        return;
      }
      case UsageCount.Reasoning: {
        this.reasoning = this.number;
        return;
      }
      case UsageCount.ToolInput:
        this.toolInput = this.number;
    }
  }
}
