/** Which members of an answer matter to keeping it: by the place where `JsonWalker` stands, and the API. */
import { JsonKind } from "./json-scanner";
import { JsonWalker } from "./json-walker";
import { Api } from "./llm-api";
import { ROOT } from "./walk-event";

export const enum AnswerMember {
  None = 0,
  Error = 1,
  Type = 2,
  Index = 3,
  /** `choices`, `candidates`, `data` or `output`, and one of them. */
  Parts = 4,
  Part = 5,
  /** A reason for the end: `finish_reason`, `stop_reason`, `finishReason`. */
  Finish = 6,
  /** `message` or `delta` of a choice, and the refusal in it. */
  Message = 7,
  Refusal = 8,
  /** Responses: the object in an event, its status, and why it is not complete. */
  Response = 9,
  Status = 10,
  Incomplete = 11,
  Reason = 12,
  /** Anthropic: `delta`. */
  Delta = 13,
  /** Gemini: `promptFeedback`, and its `blockReason`. */
  Feedback = 14,
  Blocked = 15,
  Embedding = 16,
  /** Responses: `content` of an item, one of it, and its type. */
  Contents = 17,
  Content = 18,
  ContentType = 19,
  /** The answer itself, without which its end is none: text, a list of blocks. */
  Body = 20,
  /** Gemini: usage. */
  Usage = 21,
  /** In events: a string or number nobody looks at, and an object or list. */
  Hole = 22,
  Other = 23,
}

/** What the value is that just began. `whole`: the document is the answer, else an event of it. */
export function answerMember(walker: JsonWalker, api: Api, whole: bool): AnswerMember {
  switch (walker.scope) {
    case ROOT:
      return walker.keyIs("error") ? AnswerMember.Error : rootMember(walker, api, whole);
    case AnswerMember.Parts:
      return AnswerMember.Part;
    case AnswerMember.Part:
      return partMember(walker, api, whole);
    case AnswerMember.Message:
      return walker.keyIs("refusal") ? AnswerMember.Refusal : AnswerMember.None;
    case AnswerMember.Response:
      return responseMember(walker);
    case AnswerMember.Delta:
      return walker.keyIs("stop_reason") ? AnswerMember.Finish : AnswerMember.None;
    case AnswerMember.Incomplete:
      return walker.keyIs("reason") ? AnswerMember.Reason : AnswerMember.None;
    case AnswerMember.Feedback:
      return walker.keyIs("blockReason") ? AnswerMember.Blocked : AnswerMember.None;
    case AnswerMember.Contents:
      return AnswerMember.Content;
    case AnswerMember.Content:
      return walker.keyIs("type") ? AnswerMember.ContentType : AnswerMember.None;
    default:
      return AnswerMember.None;
  }
}

function rootMember(walker: JsonWalker, api: Api, whole: bool): AnswerMember {
  switch (api) {
    case Api.AnthropicMessages: {
      if (walker.keyIs("type")) return AnswerMember.Type;
      if (whole) {
        if (walker.keyIs("stop_reason")) return AnswerMember.Finish;
        return walker.kind == JsonKind.Array && walker.keyIs("content") ? AnswerMember.Body : AnswerMember.None;
      }
      if (walker.keyIs("index")) return AnswerMember.Index;
      return walker.keyIs("delta") ? AnswerMember.Delta : AnswerMember.None;
    }
    case Api.Responses: {
      if (whole) return responseMember(walker);
      if (walker.keyIs("type")) return AnswerMember.Type;
      return walker.keyIs("response") ? AnswerMember.Response : AnswerMember.None;
    }
    case Api.GeminiGenerate: {
      if (walker.keyIs("candidates")) return AnswerMember.Parts;
      if (walker.keyIs("promptFeedback")) return AnswerMember.Feedback;
      return walker.keyIs("usageMetadata") ? AnswerMember.Usage : AnswerMember.None;
    }
    case Api.Embeddings:
      return walker.keyIs("data") ? AnswerMember.Parts : AnswerMember.None;
    default:
      return walker.keyIs("choices") ? AnswerMember.Parts : AnswerMember.None;
  }
}

function responseMember(walker: JsonWalker): AnswerMember {
  if (walker.keyIs("status")) return AnswerMember.Status;
  if (walker.keyIs("error")) return AnswerMember.Error;
  if (walker.keyIs("incomplete_details")) return AnswerMember.Incomplete;
  return walker.keyIs("output") ? AnswerMember.Parts : AnswerMember.None;
}

function partMember(walker: JsonWalker, api: Api, whole: bool): AnswerMember {
  switch (api) {
    case Api.Embeddings:
      return walker.keyIs("embedding") ? AnswerMember.Embedding : AnswerMember.None;
    case Api.Responses:
      return walker.keyIs("content") ? AnswerMember.Contents : AnswerMember.None;
    case Api.GeminiGenerate: {
      if (walker.keyIs("finishReason")) return AnswerMember.Finish;
      return !whole && walker.keyIs("index") ? AnswerMember.Index : AnswerMember.None;
    }
    default: {
      if (walker.keyIs("finish_reason")) return AnswerMember.Finish;
      if (walker.keyIs("index")) return AnswerMember.Index;
      if (walker.keyIs(whole ? "message" : "delta")) return AnswerMember.Message;
      if (walker.keyIs("error")) return AnswerMember.Error;
      return walker.kind == JsonKind.String && walker.keyIs("text") ? AnswerMember.Body : AnswerMember.None;
    }
  }
}
