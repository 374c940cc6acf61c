/**
 * POST /v1/audio/transcriptions, /translations (multipart) and /speech (JSON): https://platform.openai.com/docs/api-reference/audio
 *
 * A transcription says what the file was: name, type and length, and the fingerprint of its form.
 */
import { asString, type JsonObject } from "../json.ts";
import { countTokens } from "../tokens.ts";
import { fingerprint } from "./content.ts";
import { at, type Endpoint, jsonAnswer, jsonBody, type ReadCall } from "./endpoint.ts";
import { ApiError, invalid, openAiError } from "./errors.ts";
import { sse } from "./format.ts";
import { type Form, type FormFile, readForm } from "./multipart.ts";

type Task = "transcribe" | "translate";

function transcription(path: string, task: Task): Endpoint {
  return {
    serves: at(path),
    error: openAiError,
    read: async (call, host) => {
      const form = await readForm(call);
      return form instanceof ApiError ? form : transcribe(form, host.name, task);
    },
  };
}

const speech: Endpoint = {
  serves: at("/v1/audio/speech"),
  error: openAiError,
  read: (call) => {
    const body = jsonBody(call);
    if (body instanceof ApiError) return body;
    const model = asString(body.model);
    const input = asString(body.input);
    if (model === undefined) return invalid("you must provide a model parameter", "model");
    if (input === undefined) return invalid("'input' must be a string", "input");
    return bytesAnswer(model, "audio/mpeg", sound(input));
  },
};

export const audioEndpoints: readonly Endpoint[] = [
  transcription("/v1/audio/transcriptions", "transcribe"),
  transcription("/v1/audio/translations", "translate"),
  speech,
];

function transcribe(form: Form, replica: string, task: Task): ReadCall | ApiError {
  const [file] = form.files;
  if (file === undefined || file.field !== "file") return invalid("you must provide a file", "file");
  const { model } = form;
  const text = describe(file, form, replica);
  if (form.text("stream") === "true") return transcriptEvents(model, text, usage(file, text));
  switch (form.text("response_format")) {
    case undefined:
    case "json":
      return jsonAnswer(model, { text, usage: usage(file, text) });
    case "verbose_json":
      return jsonAnswer(model, { task, language: form.text("language") ?? "english", ...timed(text, file) });
    case "text":
      return bytesAnswer(model, "text/plain; charset=utf-8", Buffer.from(`${text}\n`));
    case "srt":
      return bytesAnswer(
        model,
        "text/plain; charset=utf-8",
        Buffer.from(`1\n00:00:00,000 --> 00:00:01,000\n${text}\n`),
      );
    default:
      return invalid("'response_format' must be json, text, srt or verbose_json", "response_format");
  }
}

function describe({ name, type, bytes }: FormFile, form: Form, replica: string): string {
  return `model ${form.model} on replica ${replica}: ${name} (${type}), ${bytes.length} bytes, form ${form.fingerprint}`;
}

function timed(text: string, { bytes }: FormFile): JsonObject {
  const duration = bytes.length / 1000;
  return { duration, text, segments: [{ id: 0, seek: 0, start: 0, end: duration, text }] };
}

function usage({ bytes }: FormFile, text: string): JsonObject {
  const input = Math.ceil(bytes.length / 100);
  const output = countTokens(text);
  return { type: "tokens", input_tokens: input, output_tokens: output, total_tokens: input + output };
}

function transcriptEvents(model: string, text: string, counted: JsonObject): ReadCall {
  return {
    model,
    answer: (output) => {
      output.startStream("text/event-stream; charset=utf-8");
      for (const delta of text.match(/\S+\s*/g) ?? []) output.write(sse({ type: "transcript.text.delta", delta }));
      output.end(sse({ type: "transcript.text.done", text, usage: counted }) + sse("[DONE]"));
      return undefined;
    },
  };
}

function bytesAnswer(model: string, type: string, bytes: Buffer): ReadCall {
  return {
    model,
    answer: (output) => {
      output.whole(200, type, bytes);
      return undefined;
    },
  };
}

/** Bytes of every value, as long as the text is. Not a sound that can be played. */
function sound(input: string): Buffer {
  const seed = Buffer.from(fingerprint(input), "hex");
  return Buffer.from(
    Array.from({ length: 64 * (1 + input.length) }, (_, i) => (seed[i % seed.length] ?? 0) ^ (i & 255)),
  );
}
