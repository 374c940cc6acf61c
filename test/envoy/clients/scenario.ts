/**
 * What a program does with an official client, as a table: every scenario runs against a model server directly and through the gateway, and
 * the two results must be equal. A scenario throws when the client does.
 */

/** Names to ask for. Through the gateway they are aliases that no replica knows, so a request that was not routed fails. */
export interface ModelNames {
  readonly chat: string;
  readonly claude: string;
  readonly gemini: string;
  readonly embedding: string;
  readonly transcription: string;
  readonly speech: string;
  readonly image: string;
}

export interface Target {
  /** `http://host:port`, without a path. */
  readonly url: string;
  readonly models: ModelNames;
}

export interface Scenario {
  readonly name: string;
  /** Everything the program sees, as plain data: whole answers, or every event of a stream in order. */
  run(target: Target): Promise<unknown>;
  /** Texts that the result, as JSON, must contain: two equal answers could both be empty. */
  readonly shows: readonly string[];
}

/** Names as the model servers know them. */
export const UPSTREAM_MODELS: ModelNames = {
  chat: "gpt-4o-mini",
  claude: "claude-sonnet-5-5",
  gemini: "gemini-3-flash",
  embedding: "text-embedding-3-small",
  transcription: "gpt-4o-transcribe",
  speech: "gpt-4o-mini-tts",
  image: "gpt-image-1",
};

/**
 * What the gateway's clients call them: shorter, longer and beyond ASCII, so that every body changes its length. Some clients look at the
 * beginning of a name to know what a model can do, so that stays.
 */
export const CLIENT_MODELS: ModelNames = {
  chat: "gpt-4o",
  claude: "claude-sonnet-of-the-day",
  gemini: "gemini-3-whichever-is-best",
  embedding: "text-embedding-3",
  transcription: "gpt-4o-transcribe-für-mich",
  speech: "gpt-4o-tts",
  image: "gpt-image-of-the-day",
};

/** A PNG of one pixel. */
export const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/** A file of every byte, CR LF and dashes of boundaries included. */
export const EVERY_BYTE: Buffer = Buffer.concat([
  Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7) & 255)),
  Buffer.from('\r\n--\r\n--x--\r\nContent-Disposition: form-data; name="model"\r\n\r\nnot-this-one\r\n'),
]);

/** JSON schema of the arguments of every tool here. */
export const CITY_SCHEMA = {
  type: "object" as const,
  properties: { city: { type: "string" as const }, days: { type: "integer" as const } },
  required: ["city", "days"],
  additionalProperties: false,
};

/** Text that JSON and UTF-8 make awkward. */
export const AWKWARD = 'Zürich – "東京" \\ 😀\n\t\u0001 {"model": "not-this-one"}';

export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const events: T[] = [];
  for await (const event of stream) events.push(event);
  return events;
}
