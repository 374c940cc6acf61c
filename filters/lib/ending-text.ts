/**
 * Writes the events that end a stream before its time, as the API itself writes them when the limit on output tokens is reached.
 *
 * One buffer for all streams of a VM: what is written is used before the next one is. It has room for the longest ending that `StreamFacts` allows.
 */
import { MAX_PARTS, StreamFacts } from "./stream-facts";

/** Two texts of 256 bytes escaped sixfold, written twice, and sixteen parts come to 9 KiB. */
const ROOM: i32 = 16384;

@final
export class EndingText {
  readonly ptr: usize = heap.alloc(ROOM);
  length: i32 = 0;

  /** Chat completions and completions. `usage`: the chunk that only reports usage as well. */
  completions(facts: StreamFacts, chat: bool, usage: bool, input: i64, output: i64): void {
    const open = facts.openParts;
    if (open != 0) {
      this.chunk(facts, chat);
      for (let i = 0, first = true; i < MAX_PARTS; i++) {
        if ((open & (1 << i)) == 0) continue;
        if (!first) this.ascii(",");
        first = false;
        this.ascii('{"index":').number(i);
        if (!chat) this.ascii(',"text":""');
        else if (facts.begun) this.ascii(',"delta":{}');
        else this.ascii(',"delta":{"role":"assistant","content":""}');
        this.ascii(',"logprobs":null,"finish_reason":"length"}');
      }
      this.ascii("]}\n\n");
    }
    if (usage && !facts.closing) {
      this.chunk(facts, chat);
      this.ascii('],"usage":{"prompt_tokens":').number(input).ascii(',"completion_tokens":').number(output);
      this.ascii(',"total_tokens":').number(input + output).ascii("}}\n\n");
    }
    this.ascii("data: [DONE]\n\n");
  }

  /** A chunk up to the opening bracket of its choices. */
  private chunk(facts: StreamFacts, chat: bool): void {
    this.ascii('data: {"id":"').text(facts.id, facts.idLength, chat ? "chatcmpl-stopped" : "cmpl-stopped");
    this.ascii(chat ? '","object":"chat.completion.chunk","created":' : '","object":"text_completion","created":').number(facts.created);
    this.ascii(',"model":"').text(facts.model, facts.modelLength, "").ascii('","choices":[');
  }

  /** Anthropic messages. */
  messages(facts: StreamFacts, input: i64, output: i64): void {
    if (!facts.begun) {
      this.ascii('event: message_start\ndata: {"type":"message_start","message":{"id":"msg_stopped","type":"message","role":"assistant","model":"","content":[]');
      this.ascii(',"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":').number(input).ascii(',"output_tokens":0}}}\n\n');
    }
    const open = facts.openParts;
    for (let i = 0; i < MAX_PARTS; i++) {
      if ((open & (1 << i)) == 0) continue;
      this.ascii('event: content_block_stop\ndata: {"type":"content_block_stop","index":').number(i).ascii("}\n\n");
    }
    if (!facts.closing) {
      this.ascii('event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null},"usage":{"output_tokens":');
      this.number(output).ascii("}}\n\n");
    }
    this.ascii('event: message_stop\ndata: {"type":"message_stop"}\n\n');
  }

  /** OpenAI responses. What was generated is not repeated in `output`: the client has it from the events before. */
  responses(facts: StreamFacts, input: i64, output: i64): void {
    let sequence = facts.sequence;
    if (!facts.begun) {
      this.event("response.created", 0).response(facts, "in_progress").ascii(',"incomplete_details":null,"output":[],"usage":null}}\n\n');
      sequence = 0;
    }
    this.event("response.incomplete", sequence < 0 ? -1 : sequence + 1).response(facts, "incomplete");
    this.ascii(',"incomplete_details":{"reason":"max_output_tokens"},"output":[],"usage":{"input_tokens":').number(input);
    this.ascii(',"input_tokens_details":{"cached_tokens":0},"output_tokens":').number(output);
    this.ascii(',"output_tokens_details":{"reasoning_tokens":0},"total_tokens":').number(input + output).ascii("}}}\n\n");
  }

  /** Not every server numbers its events. */
  private event(type: string, sequence: i64): EndingText {
    this.ascii("event: ").ascii(type).ascii('\ndata: {"type":"').ascii(type).ascii('"');
    return sequence < 0 ? this : this.ascii(',"sequence_number":').number(sequence);
  }

  /** The object up to its status. */
  private response(facts: StreamFacts, status: string): EndingText {
    this.ascii(',"response":{"id":"').text(facts.id, facts.idLength, "resp_stopped").ascii('","object":"response","created_at":').number(facts.created);
    this.ascii(',"status":"').ascii(status).ascii('","error":null,"model":"').text(facts.model, facts.modelLength, "");
    return this.ascii('"');
  }

  /** Gemini: one more chunk, for the candidates that are not finished. */
  candidates(facts: StreamFacts, input: i64, output: i64): void {
    const open = facts.openParts;
    this.ascii('{"candidates":[');
    for (let i = 0, first = true; i < MAX_PARTS; i++) {
      if ((open & (1 << i)) == 0) continue;
      if (!first) this.ascii(",");
      first = false;
      this.ascii('{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"MAX_TOKENS","index":').number(i).ascii("}");
    }
    this.ascii('],"usageMetadata":{"promptTokenCount":').number(input).ascii(',"candidatesTokenCount":').number(output);
    this.ascii(',"totalTokenCount":').number(input + output).ascii("}");
    if (facts.modelLength >= 0) this.ascii(',"modelVersion":"').text(facts.model, facts.modelLength, "").ascii('"');
    if (facts.idLength >= 0) this.ascii(',"responseId":"').text(facts.id, facts.idLength, "").ascii('"');
    this.ascii("}");
  }

  reset(): EndingText {
    this.length = 0;
    return this;
  }

  ascii(text: string): EndingText {
    const from = changetype<usize>(text);
    for (let i = 0; i < text.length; i++) this.byte(<u8>load<u16>(from + (<usize>i << 1)));
    return this;
  }

  number(value: i64): EndingText {
    let digits = 1;
    for (let rest = value / 10; rest != 0; rest /= 10) digits++;
    if (this.length + digits > ROOM) return this;
    let at = this.ptr + <usize>(this.length + digits);
    this.length += digits;
    for (; digits > 0; digits--) {
      store<u8>(--at, <u8>(48 + (value % 10)));
      value /= 10;
    }
    return this;
  }

  /** The inside of a JSON string; `otherwise` when there is none. */
  private text(at: usize, length: i32, otherwise: string): EndingText {
    if (length < 0) return this.ascii(otherwise);
    for (let i = 0; i < length; i++) {
      const byte = load<u8>(at + <usize>i);
      if (byte == 0x22 || byte == 0x5c) this.byte(0x5c).byte(byte);
      else if (byte >= 0x20) this.byte(byte);
      else this.ascii("\\u00").byte(48 + (byte >> 4)).byte(hexDigit(byte & 15));
    }
    return this;
  }

  private byte(value: u8): EndingText {
    if (this.length == ROOM) return this;
    store<u8>(this.ptr + <usize>this.length, value);
    this.length++;
    return this;
  }
}

function hexDigit(value: u8): u8 {
  return value < 10 ? 48 + value : 87 + value;
}
