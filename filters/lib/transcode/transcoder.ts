/**
 * A stored answer in the other form: a JSON answer as the stream that a client would have got, and the reverse.
 *
 *   OpenAI chat.completions, completions, responses; Anthropic messages
 *
 * Whatever cannot be told apart or has no place in the other form (a custom tool's call in chunks, members that are pieces of nobody knows what, audio, errors,
 * streams without an end) makes it false: then the answer is not used. Values keep their spelling, so a document comes back from its stream as the same JSON.
 */
import { Api } from "../llm-api";
import { AnswerWriter } from "./answer-writer";
import { mergeChunks, writeCompletion } from "./chat-document";
import { ChatStream } from "./chat-stream";
import { EventData } from "./event-data";
import { Shape } from "./merge-rules";
import { MergeTree } from "./merge-tree";
import { mergeMessage, writeMessage } from "./messages-document";
import { writeMessages } from "./messages-stream";
import { writeResponse } from "./responses-document";
import { ResponsesStream } from "./responses-stream";

/** Most bytes of an answer that is looked at. */
const MAX_INPUT: i32 = 1 << 22;
/** Most bytes of what is made of it, whatever the caller's limit: while the buffer grows there are one and a half of it in a VM of 64 MiB. */
const MAX_OUTPUT: i32 = 1 << 23;

@final
export class Transcoder {
  private readonly out: AnswerWriter = new AnswerWriter();
  private readonly tree: MergeTree = new MergeTree();
  private readonly events: EventData = new EventData();
  private readonly chat: ChatStream = new ChatStream(this.out);
  private readonly responses: ResponsesStream = new ResponsesStream(this.out);

  /** The answer, until the next call; empty when the last one failed. */
  get ptr(): usize {
    return this.out.ptr;
  }

  get length(): i32 {
    return this.out.length;
  }

  /**
   * The JSON answer in [from, from + length) as a stream of at most `limit` bytes. `usage`: the client asked an OpenAI API for the chunk that reports it; the
   * other APIs report it always. O(bytes in and out); holds as much memory as both until it returns, then at most 64 KiB besides the answer.
   */
  toStream(api: Api, from: usize, length: i32, usage: bool, limit: i32): bool {
    const out = this.out;
    out.begin(min(limit, MAX_OUTPUT));
    const shape = api == Api.AnthropicMessages ? Shape.Message : api == Api.Responses ? Shape.Response : Shape.Chunk;
    if (length > MAX_INPUT || !transcodes(api)) return false;
    const root = this.tree.begin(length, true);
    let done = this.tree.merge(root, from, from + <usize>length, shape);
    if (done) {
      if (api == Api.AnthropicMessages) done = writeMessages(out, root);
      else if (api == Api.Responses) done = this.responses.write(root);
      else done = this.chat.write(root, api == Api.ChatCompletions, usage);
    }
    return this.finish(done);
  }

  /**
   * The stream in [from, from + length), which has ended, as a JSON answer of at most `limit` bytes. `input`, `output`: its tokens, for chunks without usage; -1
   * when nobody knows, and then it is false. Costs as `toStream` does.
   */
  toDocument(api: Api, from: usize, length: i32, input: i64, output: i64, limit: i32): bool {
    const out = this.out;
    out.begin(min(limit, MAX_OUTPUT));
    if (length > MAX_INPUT || !transcodes(api)) return false;
    const events = this.events;
    events.begin(from, length);
    if (api == Api.Responses) return this.finish(writeResponse(out, events));
    const tree = this.tree;
    const root = tree.begin(length, false);
    if (api == Api.AnthropicMessages) return this.finish(mergeMessage(events, tree, root) && writeMessage(out, root));
    return this.finish(mergeChunks(events, tree, root) && writeCompletion(out, root, api == Api.ChatCompletions, input, output));
  }

  /** Gives all memory back. */
  release(): void {
    this.out.release();
    this.tree.release();
  }

  private finish(done: bool): bool {
    this.tree.trim();
    if (done && !this.out.failed) return true;
    this.out.length = 0;
    return false;
  }
}

function transcodes(api: Api): bool {
  return api == Api.ChatCompletions || api == Api.Completions || api == Api.Responses || api == Api.AnthropicMessages;
}
