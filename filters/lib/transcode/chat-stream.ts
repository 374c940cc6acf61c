/**
 * A whole answer of chat completions or completions -> the chunks that a client would have got.
 *
 *   for each choice:  role and all that is no text   (chat)
 *                     reasoning, refusal, content | text, in pieces
 *                     calls of tools, their arguments in pieces
 *                     finish_reason, and all else the choice has
 *   usage, if asked for; [DONE]
 *
 * Logprobs go with the first piece of the content, or with the last chunk: on a first chunk the official client would count them twice.
 */
import { AnswerWriter } from "./answer-writer";
import { Kind, Node, NONE } from "./merge-node";
import { HEAD } from "./merge-rules";
import { TextPieces } from "./text-pieces";

/** Members of the answer that are not left to the last chunk. */
const OTHERS: string = "object choices usage " + HEAD;

@final
export class ChatStream {
  private root: Node = NONE;
  private choice: Node = NONE;
  private chat: bool = false;
  private usage: bool = false;
  private logprobs: Node = NONE;
  private readonly pieces: TextPieces = new TextPieces();
  /** Its logprobs are still to be written. */
  private pending: bool = false;

  constructor(private readonly out: AnswerWriter) {}

  /** False: it is no such answer, or says what chunks cannot. */
  write(root: Node, chat: bool, usage: bool): bool {
    const out = this.out;
    const choices = root.get("choices");
    const object = root.get("object");
    if (choices === NONE || choices.kind != Kind.Items || choices.child === NONE) return false;
    if (object !== NONE && !object.says(chat ? "chat.completion" : "text_completion")) return false;
    this.root = root;
    this.chat = chat;
    this.usage = usage;
    for (let choice = choices.child; choice !== NONE; choice = choice.next) {
      this.choice = choice;
      this.logprobs = choice.get("logprobs");
      this.pending = true;
      if (chat) {
        if (!this.message()) return false;
      } else {
        if (choice.get("text") !== NONE) this.text(choice.get("text"));
      }
      if (!this.finish(choice.next === NONE)) return false;
    }
    const total = root.get("usage");
    if (usage && total !== NONE && total.full) {
      this.head();
      out.ascii('],"usage":').value(total).ascii("}\n\n");
    }
    out.ascii("data: [DONE]\n\n");
    return true;
  }

  private message(): bool {
    const message = this.choice.get("message");
    if (message === NONE || message.kind != Kind.Object || this.choice.get("delta") !== NONE) return false;
    const out = this.out;
    const content = message.get("content");
    this.open();
    out.ascii('{"role":');
    const role = message.get("role");
    if (role !== NONE && role.full) out.value(role);
    else out.ascii('"assistant"');
    for (let member = message.child; member !== NONE; member = member.next) {
      if (member.is("role") || (member.is("tool_calls") && member.full)) continue;
      out.ascii(",").name(member);
      if (member.kind == Kind.Text) out.ascii('""');
      else out.value(member);
    }
    out.ascii("}");
    this.close(false);
    for (let member = message.child; member !== NONE; member = member.next) {
      if (member.kind == Kind.Text && member !== content) this.text(member);
    }
    if (content !== NONE) this.text(content);
    const calls = message.get("tool_calls");
    if (calls === NONE || calls.kind != Kind.Items) return true;
    for (let call = calls.child; call !== NONE; call = call.next) if (!this.call(call)) return false;
    return true;
  }

  /** A text in pieces. */
  private text(text: Node): void {
    const out = this.out;
    const pieces = this.pieces;
    const chat = this.chat;
    pieces.begin(text);
    while (pieces.next()) {
      this.open();
      if (chat) out.ascii("{");
      out.name(text).ascii('"').raw(pieces.from, pieces.to).ascii(chat ? '"}' : '"');
      this.close(!chat || text.is("content"));
    }
  }

  /** A call of a function. Those of other tools have no form in a chunk. */
  private call(call: Node): bool {
    const called = call.get("function");
    if (called === NONE || called.kind != Kind.Object) return false;
    const out = this.out;
    this.openCall(call);
    out.more(call, "", "index function").ascii(',"function":{"arguments":""').more(called, "", "arguments").ascii("}}]}");
    this.close(false);
    const text = called.get("arguments");
    if (text === NONE) return true;
    const pieces = this.pieces;
    pieces.begin(text);
    while (pieces.next()) {
      this.openCall(call);
      out.ascii(',"function":{"arguments":"').raw(pieces.from, pieces.to).ascii('"}}]}');
      this.close(false);
    }
    return true;
  }

  private openCall(call: Node): void {
    this.open();
    this.out.ascii('{"tool_calls":[{"index":').number(call.index);
  }

  /** The last chunk of the choice; `last`: of all choices. */
  private finish(last: bool): bool {
    const reason = this.choice.get("finish_reason");
    if (reason === NONE || !reason.begins(0x22)) return false;
    const out = this.out;
    this.open();
    out.ascii(this.chat ? "{}" : '"text":""');
    this.chances(true);
    out.ascii(',"finish_reason":').value(reason);
    out.more(this.choice, "", "index message text logprobs finish_reason").ascii("}]");
    if (last) out.more(this.root, "", OTHERS);
    this.end();
    return true;
  }

  /** A chunk up to what a choice says. */
  private open(): void {
    this.head();
    this.out.ascii('{"index":').number(this.choice.index).ascii(this.chat ? ',"delta":' : ",");
  }

  private head(): void {
    this.out.ascii('data: {"object":').ascii(this.chat ? '"chat.completion.chunk"' : '"text_completion"').more(this.root, HEAD, "").ascii(',"choices":[');
  }

  private close(logprobs: bool): void {
    this.chances(logprobs);
    this.out.ascii(',"finish_reason":null}]');
    this.end();
  }

  /** Logprobs, null where they do not belong or have been written. */
  private chances(wanted: bool): void {
    const logprobs = this.logprobs;
    if (logprobs === NONE) return;
    this.out.ascii(',"logprobs":');
    if (wanted && this.pending) this.out.value(logprobs);
    else this.out.ascii("null");
    if (wanted) this.pending = false;
  }

  private end(): void {
    this.out.ascii(this.usage ? ',"usage":null}\n\n' : "}\n\n");
  }
}
