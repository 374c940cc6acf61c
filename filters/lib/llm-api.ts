/** The APIs whose requests and answers the filters read. A caller knows which one it is from the path. */
export const enum Api {
  ChatCompletions = 0,
  Completions = 1,
  Responses = 2,
  Embeddings = 3,
  AnthropicMessages = 4,
  GeminiGenerate = 5,
  /** Audio, images and everything else: of the request only the model is known, in a JSON body or in a field of a multipart form. */
  Other = 6,
}
