/**
 * A whole answer of OpenAI's responses -> the events that a client would have got: the answer as it begins, each item as it begins, its texts in pieces, each
 * item as it is, and the answer as it is. Items of tools that have no texts come with these two events alone.
 */
import { AnswerWriter } from "./answer-writer";
import { behindSpace, behindValue } from "./json-value";
import { Kind, Node, NONE } from "./merge-node";
import { TextPieces } from "./text-pieces";

@final
export class ResponsesStream {
  private sequence: i64 = 0;
  private item: Node = NONE;
  /** `id` of the item. */
  private id: Node = NONE;
  private readonly pieces: TextPieces = new TextPieces();

  constructor(private readonly out: AnswerWriter) {}

  /** False: it is no such answer, or says what events cannot. */
  write(root: Node): bool {
    const object = root.get("object");
    const status = root.get("status");
    const output = root.get("output");
    if (status === NONE || output === NONE || output.kind != Kind.Items) return false;
    if (object !== NONE && !object.says("response")) return false;
    const completed = status.says("completed");
    if (!completed && !status.says("incomplete")) return false;
    this.sequence = 0;
    this.begin("created", root);
    this.begin("in_progress", root);
    for (let item = output.child; item !== NONE; item = item.next) if (!this.writeItem(item)) return false;
    this.event(completed ? "completed" : "incomplete", "");
    this.out.ascii(',"response":').json(root.from, root.to);
    this.end();
    return true;
  }

  /** The answer before there was any output. */
  private begin(type: string, root: Node): void {
    const out = this.out;
    this.event(type, "");
    out.ascii(',"response":').skeleton(root, "output status", "usage incomplete_details completed_at");
    this.end();
  }

  private writeItem(item: Node): bool {
    const type = item.get("type");
    const id = item.get("id");
    if (type === NONE || id === NONE || !type.begins(0x22) || !id.begins(0x22)) return false;
    this.item = item;
    this.id = id;
    const call = type.says("function_call") || type.says("mcp_call");
    const input = item.get(call ? "arguments" : "input");
    const text = input !== NONE && input.begins(0x22) && (call || type.says("custom_tool_call")) ? input : NONE;
    const parts = type.says("message") || type.says("reasoning");
    const emptied = parts ? "content summary status" : text === NONE ? "status" : call ? "arguments status" : "input status";

    const out = this.out;
    this.event("output_item", ".added");
    out.ascii(',"output_index":').number(item.index).ascii(',"item":').skeleton(item, emptied, "");
    this.end();
    if (parts && !(this.parts(item.get("summary"), true) && this.parts(item.get("content"), false))) return false;
    if (text !== NONE) {
      const base = type.says("function_call") ? "function_call_arguments" : call ? "mcp_call_arguments" : "custom_tool_call_input";
      this.text(base, text, NONE, false);
    }
    this.event("output_item", ".done");
    out.ascii(',"output_index":').number(item.index).ascii(',"item":').json(item.from, item.to);
    this.end();
    return true;
  }

  private parts(parts: Node, summary: bool): bool {
    if (parts === NONE || parts.kind != Kind.Items) return true;
    for (let part = parts.child; part !== NONE; part = part.next) {
      const type = part.get("type");
      if (type === NONE) return false;
      const refusal = type.says("refusal");
      const base = summary ? "reasoning_summary_text" : refusal ? "refusal" : type.says("output_text") ? "output_text" : "reasoning_text";
      const text = part.get(refusal ? "refusal" : "text");
      if (text === NONE || !text.begins(0x22) || !(refusal || type.says(summary ? "summary_text" : base))) return false;
      this.part(part, summary, false);
      this.text(base, text, part, summary);
      this.part(part, summary, true);
    }
    return true;
  }

  /** A part as it begins, or as it is. */
  private part(part: Node, summary: bool, done: bool): void {
    const out = this.out;
    this.event(summary ? "reasoning_summary_part" : "content_part", done ? ".done" : ".added");
    this.place(part, summary);
    out.ascii(',"part":');
    if (done) out.json(part.from, part.to);
    else out.skeleton(part, "text refusal annotations logprobs", "");
    this.end();
  }

  /** The text of a part, or of the item itself. */
  private text(base: string, text: Node, part: Node, summary: bool): void {
    const out = this.out;
    const logprobs = part !== NONE && base == "output_text";
    const pieces = this.pieces;
    pieces.begin(text);
    while (pieces.next()) {
      this.event(base, ".delta");
      this.place(part, summary);
      out.ascii(',"delta":"').raw(pieces.from, pieces.to).ascii(logprobs ? '","logprobs":[]' : '"');
      this.end();
    }
    if (part !== NONE) this.annotations(part, summary);
    this.event(base, ".done");
    this.place(part, summary);
    out.ascii(",").name(text).value(text);
    if (logprobs) {
      const chances = part.get("logprobs");
      out.ascii(',"logprobs":');
      if (chances !== NONE && chances.full) out.value(chances);
      else out.ascii("[]");
    }
    if (part === NONE) out.more(this.item, "name", "");
    this.end();
  }

  private annotations(part: Node, summary: bool): void {
    const annotations = part.get("annotations");
    if (annotations === NONE || !annotations.begins(0x5b)) return;
    const out = this.out;
    const end = annotations.to - 1;
    let at = behindSpace(annotations.from + 1, end);
    for (let index = 0; at < end; index++) {
      const to = behindValue(at, end);
      this.event("output_text.annotation", ".added");
      this.place(part, summary);
      out.ascii(',"annotation_index":').number(index).ascii(',"annotation":').json(at, to);
      this.end();
      // The comma, if there is one more.
      at = behindSpace(behindSpace(to, end) + 1, end);
    }
  }

  /** Which part of which item it is about. */
  private place(part: Node, summary: bool): void {
    const out = this.out;
    out.ascii(',"item_id":').value(this.id).ascii(',"output_index":').number(this.item.index);
    if (part !== NONE) out.ascii(summary ? ',"summary_index":' : ',"content_index":').number(part.index);
  }

  /** An event up to its number. */
  private event(base: string, what: string): void {
    const out = this.out;
    out.ascii("event: response.").ascii(base).ascii(what).ascii('\ndata: {"type":"response.').ascii(base).ascii(what);
    out.ascii('","sequence_number":').number(this.sequence++);
  }

  private end(): void {
    this.out.ascii("}\n\n");
  }
}
