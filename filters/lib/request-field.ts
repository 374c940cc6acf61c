/** What `ChatRequest` knows of a request, by name: see there. */

/** Indices of `fields`. */
export const enum RequestField {
  Model = 0,
  Stream = 1,
  MaxTokens = 2,
  MaxCompletionTokens = 3,
  /** Gemini: `generationConfig.maxOutputTokens`. */
  MaxOutputTokens = 4,
  /** `n`; Gemini: `generationConfig.candidateCount`. */
  Choices = 5,
  /** Gemini: `generationConfig.temperature`. */
  Temperature = 6,
  User = 7,
  /** `metadata.user_id`. */
  MetadataUser = 8,
  SafetyIdentifier = 9,
  PromptCacheKey = 10,
  SessionId = 11,
  /** `stream_options.include_usage`. */
  IncludeUsage = 12,
  Tools = 13,
  Functions = 14,
  /** `messages`, `input`, `prompt` or `contents`. */
  Messages = 15,
  /** `system`, `instructions` or `systemInstruction`. */
  System = 16,
}

/** A member that is true, false, missing (or null, which the APIs take for the same), or something else. */
export const enum Flag {
  Absent = 0,
  True = 1,
  False = 2,
  Other = 3,
}
