/**
 * The chunks of a stream of chat completions or completions -> the answer they are pieces of.
 *
 * What the API always says and streams may leave out is filled in: who speaks, null for no content, the type of a tool, usage as far as the caller knows it.
 */
import { AnswerWriter } from "./answer-writer";
import { EventData } from "./event-data";
import { Kind, Node, NONE } from "./merge-node";
import { Shape } from "./merge-rules";
import { memberAt, MergeTree } from "./merge-tree";

/** Merges all chunks into `root`. False: it is no whole stream, or one that cannot be put together. */
export function mergeChunks(events: EventData, tree: MergeTree, root: Node): bool {
  let done = false;
  while (events.next()) {
    if (done) return false;
    done = events.done;
    if (!done && !tree.merge(root, events.from, events.to, Shape.Chunk)) return false;
  }
  return done && !events.failed;
}

/** Writes the answer. `input`, `output`: its tokens, when the stream does not say them; -1 when nobody knows. */
export function writeCompletion(out: AnswerWriter, root: Node, chat: bool, input: i64, output: i64): bool {
  const choices = root.get("choices");
  const object = root.get("object");
  if (choices === NONE || choices.kind != Kind.Items || choices.child === NONE) return false;
  if (object !== NONE && !object.says(chat ? "chat.completion.chunk" : "text_completion")) return false;
  out.ascii(chat ? '{"object":"chat.completion"' : '{"object":"text_completion"');
  out.more(root, "", "object choices usage").ascii(',"choices":[');
  for (let choice = choices.child; choice !== NONE; choice = choice.next) {
    if (choice !== choices.child) out.ascii(",");
    if (!writeChoice(out, choice, chat)) return false;
  }
  out.ascii('],"usage":');
  const usage = root.get("usage");
  if (usage !== NONE && usage.begins(0x7b) && counts(usage)) {
    out.value(usage);
  } else {
    if (input < 0 || output < 0) return false;
    out.ascii('{"prompt_tokens":').number(input).ascii(',"completion_tokens":').number(output);
    out.ascii(',"total_tokens":').number(input + output).ascii("}");
  }
  out.ascii("}");
  return true;
}

/** Some servers report zeros to clients that did not ask; no prompt has no tokens. */
function counts(usage: Node): bool {
  const at = memberAt(usage.from, usage.to, "prompt_tokens");
  return at != 0 && load<u8>(at) != 0x30;
}

function writeChoice(out: AnswerWriter, choice: Node, chat: bool): bool {
  const reason = choice.get("finish_reason");
  if (reason === NONE || !reason.begins(0x22)) return false;
  out.ascii('{"index":').number(choice.index);
  if (chat) {
    if (choice.get("message") !== NONE) return false;
    const message = choice.get("delta");
    out.ascii(',"message":{"role":');
    if (message === NONE) out.ascii('"assistant","content":null}');
    else if (!writeMessage(out, message)) return false;
  } else if (choice.get("text") === NONE) {
    out.ascii(',"text":""');
  }
  out.more(choice, "", chat ? "index delta" : "index").ascii("}");
  return true;
}

/** Behind the name of the role. */
function writeMessage(out: AnswerWriter, message: Node): bool {
  const role = message.get("role");
  if (role !== NONE && role.full) out.value(role);
  else out.ascii('"assistant"');
  if (message.get("content") === NONE) out.ascii(',"content":null');
  out.more(message, "", "role tool_calls");
  const calls = message.get("tool_calls");
  if (calls !== NONE) {
    out.ascii(',"tool_calls":');
    if (calls.kind != Kind.Items) {
      out.value(calls);
    } else {
      for (let call = calls.child; call !== NONE; call = call.next) {
        out.ascii(call === calls.child ? "[" : ",");
        if (!writeCall(out, call)) return false;
      }
      out.ascii(calls.child === NONE ? "[]" : "]");
    }
  }
  out.ascii("}");
  return true;
}

function writeCall(out: AnswerWriter, call: Node): bool {
  const called = call.get("function");
  if (called === NONE || called.kind != Kind.Object) return false;
  const type = call.get("type");
  out.ascii('{"type":');
  if (type !== NONE && type.full) out.value(type);
  else out.ascii('"function"');
  out.more(call, "", "index type function").ascii(',"function":{"arguments":');
  const text = called.get("arguments");
  if (text === NONE) out.ascii('""');
  else out.value(text);
  out.more(called, "", "arguments").ascii("}}");
  return true;
}
