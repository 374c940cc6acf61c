/**
 * A whole answer of Anthropic messages -> the events that a client would have got. Blocks of unknown types come whole with their first event, as those with
 * results of the provider's tools do.
 */
import { AnswerWriter } from "./answer-writer";
import { behindSpace, behindValue } from "./json-value";
import { Kind, NO_PIECE, Node, NONE } from "./merge-node";
import { jsonCut, TextPieces } from "./text-pieces";

const pieces = new TextPieces();

/** Members which the last but one event tells. */
const LATE: string = "stop_reason stop_sequence stop_details container";

/** False: it is no such answer, or says what events cannot. */
export function writeMessages(out: AnswerWriter, root: Node): bool {
  const type = root.get("type");
  const content = root.get("content");
  const reason = root.get("stop_reason");
  const usage = root.get("usage");
  if (type === NONE || !type.says("message") || content === NONE || content.kind != Kind.Items) return false;
  if (reason === NONE || !reason.begins(0x22) || usage === NONE || usage.kind != Kind.Object) return false;
  const output = usage.get("output_tokens");
  if (output === NONE || output.kind != Kind.Raw) return false;

  out.ascii('event: message_start\ndata: {"type":"message_start","message":').skeleton(root, "content usage output_tokens", LATE).ascii("}\n\n");
  for (let block = content.child; block !== NONE; block = block.next) if (!writeBlock(out, block)) return false;
  out.ascii('event: message_delta\ndata: {"type":"message_delta","delta":{').members(root, LATE, "");
  if (root.get("stop_sequence") === NONE) out.ascii(',"stop_sequence":null');
  out.ascii('},"usage":{"output_tokens":').value(output);
  out.ascii('}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n');
  return true;
}

function writeBlock(out: AnswerWriter, block: Node): bool {
  const type = block.get("type");
  if (type === NONE || !type.begins(0x22)) return false;
  const texts = type.says("text");
  const thinks = type.says("thinking");
  const calls = type.says("tool_use") || type.says("server_tool_use") || type.says("mcp_tool_use");
  open(out, "content_block_start", block)
    .ascii(',"content_block":')
    .skeleton(block, texts ? "text citations" : thinks ? "thinking signature" : calls ? "input" : "", "")
    .ascii("}\n\n");

  const text = texts ? block.get("text") : thinks ? block.get("thinking") : NONE;
  if (text !== NONE) {
    pieces.begin(text);
    while (pieces.next()) {
      delta(out, block, thinks ? "thinking_delta" : "text_delta");
      out.name(text).ascii('"').raw(pieces.from, pieces.to).ascii('"}}\n\n');
    }
  }
  const citations = texts ? block.get("citations") : NONE;
  const signature = thinks ? block.get("signature") : NONE;
  const input = calls ? block.get("input") : NONE;
  if (citations !== NONE) writeCitations(out, block, citations);
  if (signature !== NONE && signature.kind == Kind.Raw && signature.full) {
    delta(out, block, "signature_delta");
    out.ascii('"signature":').value(signature).ascii("}}\n\n");
  }
  if (input !== NONE && !input.begins(0x7b)) return false;
  if (input !== NONE && load<u8>(behindSpace(input.from + 1, input.to)) != 0x7d) {
    for (let at = input.from; at < input.to; ) {
      const cut = jsonCut(at, input.to);
      delta(out, block, "input_json_delta");
      out.ascii('"partial_json":"').escaped(at, cut).ascii('"}}\n\n');
      at = cut;
    }
  }
  open(out, "content_block_stop", block).ascii("}\n\n");
  return true;
}

/** `citations`: the elements of one array. */
function writeCitations(out: AnswerWriter, block: Node, citations: Node): void {
  const piece = citations.piece;
  if (piece === NO_PIECE) return;
  for (let at = piece.from; at < piece.to; ) {
    const to = behindValue(at, piece.to);
    delta(out, block, "citations_delta");
    out.ascii('"citation":').json(at, to).ascii("}}\n\n");
    at = behindSpace(to, piece.to);
    // The comma, if there is one more.
    at = behindSpace(at + 1, piece.to);
  }
}

function delta(out: AnswerWriter, block: Node, type: string): void {
  open(out, "content_block_delta", block).ascii(',"delta":{"type":"').ascii(type).ascii('",');
}

/** An event of a block up to its index. */
function open(out: AnswerWriter, type: string, block: Node): AnswerWriter {
  return out.ascii("event: ").ascii(type).ascii('\ndata: {"type":"').ascii(type).ascii('","index":').number(block.index);
}
