/**
 * Ends a streamed answer before its time so that its client takes it for a whole one, cut off at the limit on output tokens.
 *
 * While the stream passes it says up to where it can be cut: only between events, because half an event cannot be taken back. An event of which the client has
 * seen the beginning is waited for, one that began in the last piece is dropped. Behind the cut comes what the API writes in that case: reasons for the end of
 * all that is open, usage, the terminal event, with the ids of the stream. What the client has seen up to the cut, and that, is a valid stream.
 *
 *   OpenAI chat.completions, completions   finish_reason `length` for every choice without one, usage if asked for, `[DONE]`
 *   OpenAI responses                       `response.incomplete`, reason `max_output_tokens`; its `output` is empty, the client has it from the events before
 *   Anthropic messages                     `content_block_stop` for open blocks, `message_delta` with `max_tokens`, `message_stop`
 *   Gemini streamGenerateContent           a chunk with finishReason `MAX_TOKENS`; without `alt=sse` the end of the array
 *
 * A stream that is stopped before its first event gets all that a whole one has, with made-up ids, which also stand in for those above `MAX_TEXT` bytes. Choices,
 * candidates and blocks with an index from `MAX_PARTS` on get no reason. O(bytes), no allocation after the constructor, never throws.
 */
import { ArrayElements, ArrayPlace } from "./array-elements";
import { EndingText } from "./ending-text";
import { EventLines, EventPart } from "./event-lines";
import { Api } from "./llm-api";
import { StreamFacts } from "./stream-facts";

/** An event that goes on for longer is not waited for. */
export const MAX_OPEN_EVENT: u32 = 65536;

const written = new EndingText();

@final
export class StreamEnding {
  /**
   * Of the last piece, so many bytes can pass before the ending. -1: an event of which the client has seen the beginning goes on for all of it, so all of it
   * passes, and the next piece may do.
   */
  cut: i32 = 0;
  /** Bytes of the stream behind the last place where it could be cut; above `MAX_OPEN_EVENT` give up. */
  openBytes: u32 = 0;

  private api: Api = Api.ChatCompletions;
  private array: bool = false;
  /** The cut is right behind a CR, whose LF the client may still expect. */
  private behindCr: bool = false;
  private place: ArrayPlace = ArrayPlace.Start;
  private readonly facts: StreamFacts = new StreamFacts();
  private readonly lines: EventLines = new EventLines();
  private readonly elements: ArrayElements = new ArrayElements();

  /** The stream has ended by itself, or failed: there is nothing to write, all of it passes. */
  get over(): bool {
    return this.facts.over;
  }

  /** Ready for another stream. `array`: the answer is one JSON array (Gemini without `alt=sse`). False when no ending is known for such a stream. */
  begin(api: Api, array: bool): bool {
    this.api = api;
    this.array = array;
    this.cut = 0;
    this.openBytes = 0;
    this.behindCr = false;
    this.place = ArrayPlace.Start;
    this.facts.reset(api);
    this.lines.reset();
    this.elements.reset();
    return array ? api == Api.GeminiGenerate : api != Api.Embeddings && api != Api.Other;
  }

  /** Looks through the next piece of the stream. */
  feed(from: usize, length: i32): void {
    if (length <= 0) return;
    if (this.facts.over) {
      this.cut = length;
      return;
    }
    this.cut = this.openBytes == 0 ? 0 : -1;
    this.openBytes += <u32>length;
    if (this.array) this.feedElements(from, length);
    else this.feedLines(from, length);
  }

  private feedLines(from: usize, length: i32): void {
    const lines = this.lines;
    lines.feed(from, length);
    while (true) {
      const part = lines.next();
      if (part == EventPart.NeedMore) return;
      if (part == EventPart.Data) {
        if (lines.fresh) this.facts.open();
        this.facts.data(lines.ptr, lines.length);
      } else {
        this.reached(<i32>(lines.at - from), length, lines.whole);
        this.behindCr = load<u8>(lines.at - 1) == 0x0d;
      }
    }
  }

  private feedElements(from: usize, length: i32): void {
    const elements = this.elements;
    elements.feed(from, length);
    while (true) {
      const part = elements.next();
      if (part == EventPart.NeedMore) return;
      if (part == EventPart.Data) {
        if (elements.fresh) this.facts.open();
        this.facts.data(elements.ptr, elements.length);
      } else {
        this.reached(<i32>(elements.at - from), length, elements.whole);
        this.place = elements.place;
        if (this.place == ArrayPlace.Closed) this.facts.over = true;
      }
    }
  }

  /** No event is open behind `at` bytes of the piece; `whole`: one has just ended. */
  private reached(at: i32, length: i32, whole: bool): void {
    if (whole) this.facts.commit();
    this.cut = at;
    this.openBytes = <u32>(length - at);
  }

  /** Where what `end` wrote is, for all streams of the VM, until it writes again. */
  get ptr(): usize {
    return written.ptr;
  }

  get length(): i32 {
    return written.length;
  }

  /**
   * Writes what belongs behind the cut. `input`, `output`: tokens so far, as well as they are known. `usage`: the client asked an OpenAI API for the chunk that
   * reports them; other APIs report them always.
   */
  end(usage: bool, input: i64, output: i64): void {
    written.reset();
    if (this.facts.over) return;
    if (this.behindCr) written.ascii("\n");
    input = max<i64>(input, 0);
    output = max<i64>(output, 0);
    const facts = this.facts;
    if (this.api == Api.AnthropicMessages) written.messages(facts, input, output);
    else if (this.api == Api.Responses) written.responses(facts, input, output);
    else if (this.api != Api.GeminiGenerate) written.completions(facts, this.api == Api.ChatCompletions, usage, input, output);
    else if (this.array) this.endArray(input, output);
    else if (facts.openParts != 0) {
      written.ascii("data: ").candidates(facts, input, output);
      written.ascii("\n\n");
    }
  }

  /** Behind a comma there has to be one more object, in any case. */
  private endArray(input: i64, output: i64): void {
    const place = this.place;
    const open = this.facts.openParts != 0;
    if (place == ArrayPlace.Start) written.ascii("[");
    else if (place == ArrayPlace.Object && open) written.ascii(",\n");
    if (open) written.candidates(this.facts, input, output);
    else if (place == ArrayPlace.Comma) written.ascii("{}");
    written.ascii("\n]\n");
  }
}
