/** The events of a stream of Anthropic messages -> the message they are pieces of. Events and deltas of unknown types are not left out but refused. */
import { AnswerWriter } from "./answer-writer";
import { EventData } from "./event-data";
import { behindValue } from "./json-value";
import { Kind, Node, NONE } from "./merge-node";
import { Shape } from "./merge-rules";
import { indexAt, memberAt, MergeTree, nameAt } from "./merge-tree";

/** Types of events. */
const TYPES: string = "message_start message_delta message_stop ping content_block_start content_block_delta content_block_stop";
const enum Type {
  MessageStart = 0,
  MessageDelta = 1,
  MessageStop = 2,
  Ping = 3,
  BlockStart = 4,
  BlockDelta = 5,
  BlockStop = 6,
}

/** Types of deltas of a block. */
const DELTAS: string = "text_delta thinking_delta signature_delta input_json_delta citations_delta";

/** Merges all events into `root`. False: it is no whole stream, or one that cannot be put together. */
export function mergeMessage(events: EventData, tree: MergeTree, root: Node): bool {
  let over = false;
  while (events.next()) {
    if (over) {
      // Some servers end their streams as OpenAI does.
      if (events.done) continue;
      return false;
    }
    const type = nameAt(memberAt(events.from, events.to, "type"), events.to, TYPES);
    if (type == Type.MessageStop) over = true;
    else if (type < 0 || !mergeEvent(events, tree, root, <Type>type)) return false;
  }
  return over && !events.failed;
}

function mergeEvent(events: EventData, tree: MergeTree, root: Node, type: Type): bool {
  const from = events.from;
  const end = events.to;
  if (type == Type.Ping || type == Type.BlockStop) return true;
  if (type == Type.MessageStart) return root.kind == Kind.Absent && mergeMember(events, tree, root, "message", Shape.Message);
  if (type == Type.MessageDelta) {
    return tree.merge(root, from, end, Shape.MessageDelta) && mergeMember(events, tree, root, "delta", Shape.Message);
  }
  const content = root.get("content");
  if (content === NONE || content.kind != Kind.Items) return false;
  const block = tree.element(content, indexAt(from, end));
  if (block === NONE) return false;
  const fresh = block.kind == Kind.Absent;
  if (type == Type.BlockStart) return fresh && mergeMember(events, tree, block, "content_block", Shape.Block);
  if (fresh || nameAt(memberAt(memberAt(from, end, "delta"), end, "type"), end, DELTAS) < 0) return false;
  return mergeMember(events, tree, block, "delta", Shape.BlockDelta);
}

/** Merges a member of the event. */
function mergeMember(events: EventData, tree: MergeTree, node: Node, name: string, shape: Shape): bool {
  const at = memberAt(events.from, events.to, name);
  const to: usize = at == 0 ? 0 : behindValue(at, events.to);
  return to != 0 && tree.merge(node, at, to, shape);
}

/** Writes the message. */
export function writeMessage(out: AnswerWriter, root: Node): bool {
  const type = root.get("type");
  const content = root.get("content");
  const reason = root.get("stop_reason");
  if (type === NONE || !type.says("message") || content === NONE || reason === NONE || !reason.begins(0x22)) return false;
  out.ascii("{").members(root, "", "content");
  let index = 0;
  for (let block = content.child; block !== NONE; block = block.next) {
    if (block.index != index) return false;
    out.ascii(index++ == 0 ? ',"content":[' : ",");
    writeBlock(out, block);
  }
  out.ascii(index == 0 ? ',"content":[]}' : "]}");
  return true;
}

function writeBlock(out: AnswerWriter, block: Node): void {
  const type = block.get("type");
  const input = block.get("input");
  const partial = block.get("partial_json");
  const citations = block.get("citations");
  const cited = block.get("citation");
  out.ascii("{").members(block, "", "input partial_json citations citation");
  if (partial !== NONE && partial.full) out.ascii(',"input":').decoded(partial);
  else if (input !== NONE) out.ascii(',"input":').value(input);
  else if (type !== NONE && type.says("tool_use")) out.ascii(',"input":{}');
  if (cited !== NONE && cited.full) {
    out.ascii(',"citations":[');
    if (citations !== NONE && citations.full) out.pieces(citations).ascii(",");
    out.pieces(cited).ascii("]");
  } else if (citations !== NONE) {
    out.ascii(',"citations":').value(citations);
  }
  out.ascii("}");
}
