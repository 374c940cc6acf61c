/** What `AnswerCheck` says of an answer. The worse, the higher, but for `Whole`. */
export const enum AnswerVerdict {
  /** It lacks its end so far, or is not final: the model has not come to an end, or says that somebody has to go on. */
  Truncated = 0,
  /** No answer of this API as far as one knows: no JSON, foreign lines between events, an unknown reason for the end, too many choices. */
  Unknown = 1,
  /** A filter or a refusal. */
  Filtered = 2,
  Error = 3,
  /** A whole answer that may be served again. */
  Whole = 4,
}

/** How the bytes of an answer hold it. The answer's content type tells, not the request. */
export const enum AnswerForm {
  /** One JSON object. */
  Document = 0,
  /** Server-Sent Events. */
  Events = 1,
  /** One JSON array that grows: Gemini without `alt=sse`. */
  Array = 2,
}
