/**
 * Tells whether a complete answer has passed, one that may be kept and served again.
 *
 * A cache that takes a truncated, filtered or failed answer for a whole one serves it again and again, so everything has to speak for an answer: it is of the form of
 * its API, it says itself that it is over, and nothing in it says otherwise.
 *
 *   OpenAI chat, completions   a known `finish_reason` for every choice; a stream has `[DONE]` behind that and nothing else
 *   OpenAI responses           status `completed`, or `incomplete` for the limit on tokens; a stream has that in its terminal event
 *   OpenAI embeddings          every entry of `data` holds one
 *   Anthropic messages         a known `stop_reason`; a stream begins with `message_start`, ends every block, and then with `message_stop`
 *   Gemini                     a known `finishReason` for every candidate; in a stream nothing of a candidate behind it
 *
 * A model's limit on tokens is an end, too (`allowLength`). Errors and filters count wherever they stand, refusals as filters. It vouches for what `JsonWalker` does: brackets,
 * strings and what it reads are exact, so no answer that was cut anywhere is whole. What it cannot know: whether the transport ended in order, and whether a stage of ours
 * wrote the end (`StreamEnding` does it so that nobody can tell). O(bytes), no allocation after the constructor, never throws.
 */
import { AnswerFacts } from "./answer-facts";
import { AnswerLines, LinePart } from "./answer-lines";
import { AnswerForm, AnswerVerdict } from "./answer-verdict";
import { ArrayElements, ArrayPlace } from "./array-elements";
import { EventPart } from "./event-lines";
import { Api } from "./llm-api";

export { AnswerForm, AnswerVerdict };

@final
export class AnswerCheck {
  private form: AnswerForm = AnswerForm.Document;
  private judges: bool = false;
  private readonly facts: AnswerFacts = new AnswerFacts();
  private readonly lines: AnswerLines = new AnswerLines();
  private readonly elements: ArrayElements = new ArrayElements();

  /** The limit on tokens is an end like others; else such an answer counts as truncated. Set it before the answer; it stays. */
  set allowLength(value: bool) {
    this.facts.document.allowLength = value;
  }

  /** Ready for another answer. False when none like this can be judged: it is never `Whole`. */
  begin(api: Api, form: AnswerForm): bool {
    this.form = form;
    this.facts.reset(api, form == AnswerForm.Document);
    this.lines.reset();
    this.elements.reset();
    const array = form == AnswerForm.Array && api != Api.GeminiGenerate;
    const events = form != AnswerForm.Document && api == Api.Embeddings;
    this.judges = api != Api.Other && !array && !events;
    if (!this.judges) this.facts.document.raise(AnswerVerdict.Unknown);
    return this.judges;
  }

  /** It can become `Whole` no more: what was kept of it can go, and the rest need not be fed. */
  get hopeless(): bool {
    return this.facts.document.found != AnswerVerdict.Truncated;
  }

  /** Looks through the next piece of the answer. */
  feed(from: usize, length: i32): void {
    if (length <= 0 || !this.judges) return;
    if (this.form == AnswerForm.Document) this.facts.data(from, length);
    else if (this.form == AnswerForm.Events) this.feedLines(from, length);
    else this.feedElements(from, length);
  }

  /** What it is if nothing else comes. Changes nothing. */
  end(): AnswerVerdict {
    const facts = this.facts;
    if (this.form == AnswerForm.Document) return facts.document.verdict;
    if (facts.document.found != AnswerVerdict.Truncated) return facts.document.found;
    const over = this.form == AnswerForm.Events ? this.lines.idle : this.elements.place == ArrayPlace.Closed;
    return over && facts.complete ? AnswerVerdict.Whole : AnswerVerdict.Truncated;
  }

  private feedLines(from: usize, length: i32): void {
    const lines = this.lines;
    const facts = this.facts;
    lines.feed(from, length);
    while (true) {
      const part = lines.next();
      if (part == LinePart.NeedMore) break;
      if (part == LinePart.Data) {
        if (lines.whole) facts.event(lines.ptr, lines.length);
        else facts.data(lines.ptr, lines.length);
      } else {
        if (lines.failed) facts.document.raise(AnswerVerdict.Error);
        if (lines.hasData) facts.commit();
        else if (lines.named || facts.ended) facts.document.raise(AnswerVerdict.Unknown);
      }
    }
    if (lines.foreign) facts.document.raise(AnswerVerdict.Unknown);
  }

  private feedElements(from: usize, length: i32): void {
    const elements = this.elements;
    const facts = this.facts;
    if (elements.place == ArrayPlace.Closed) this.passSpace(from, from + <usize>length);
    else {
      elements.feed(from, length);
      while (elements.place != ArrayPlace.Closed) {
        const part = elements.next();
        if (part == EventPart.NeedMore) return;
        if (part == EventPart.Data) facts.data(elements.ptr, elements.length);
        else if (elements.whole) facts.commit();
      }
      this.passSpace(elements.at, from + <usize>length);
    }
  }

  /** Behind the array. */
  private passSpace(at: usize, end: usize): void {
    for (; at < end; at++) {
      const byte = load<u8>(at);
      if (byte != 0x20 && byte != 0x0a && byte != 0x0d && byte != 0x09) this.facts.document.raise(AnswerVerdict.Unknown);
    }
  }
}

const free: AnswerCheck[] = [];

/** Pooled: as many as answers were ever judged at once. */
export namespace answerChecks {
  export function take(): AnswerCheck {
    return free.length > 0 ? free.pop() : new AnswerCheck();
  }

  export function release(check: AnswerCheck): void {
    free.push(check);
  }
}
