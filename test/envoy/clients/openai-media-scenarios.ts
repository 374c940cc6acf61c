/** The `openai` package: audio and images, in forms and as bytes. */
import OpenAI, { toFile } from "openai";
import { collect, EVERY_BYTE, PIXEL, type Scenario, type Target } from "./scenario.ts";

const client = ({ url }: Target): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey: "openai-key", maxRetries: 0 });
const audio = (): Promise<File> => toFile(EVERY_BYTE, 'Züge "1".wav', { type: "audio/wav" });
const picture = (name: string): Promise<File> => toFile(Buffer.from(PIXEL, "base64"), name, { type: "image/png" });

const scenarios: Scenario[] = [
  {
    name: "transcription",
    shows: ["model gpt-4o-transcribe on replica", `${EVERY_BYTE.length} bytes`],
    run: async (target) =>
      client(target).audio.transcriptions.create({
        file: await audio(),
        model: target.models.transcription,
        language: "de",
      }),
  },
  {
    name: "transcription, the model first, as text and with times",
    shows: ["model gpt-4o-transcribe on replica", '"segments"'],
    run: async (target) => {
      const { transcriptions } = client(target).audio;
      const body = { model: target.models.transcription, file: await audio() };
      const text = await transcriptions.create({ ...body, response_format: "text" });
      return [text, await transcriptions.create({ ...body, response_format: "verbose_json" })];
    },
  },
  {
    name: "transcription of a long file",
    shows: ["3000000 bytes"],
    run: async (target) => {
      const file = await toFile(Buffer.alloc(3_000_000, EVERY_BYTE), "long.wav", { type: "audio/wav" });
      return client(target).audio.transcriptions.create({ file, model: target.models.transcription });
    },
  },
  {
    name: "transcription, streamed",
    shows: ["transcript.text.delta", "transcript.text.done"],
    run: async (target) => {
      const body = { file: await audio(), model: target.models.transcription, stream: true as const };
      return collect(await client(target).audio.transcriptions.create(body));
    },
  },
  {
    name: "translation",
    shows: ["model gpt-4o-transcribe on replica"],
    run: async (target) =>
      client(target).audio.translations.create({ file: await audio(), model: target.models.transcription }),
  },
  {
    name: "speech",
    shows: ["audio/mpeg"],
    run: async (target) => {
      const body = { model: target.models.speech, voice: "alloy", input: "Grüezi mitenand" };
      const answer = await client(target).audio.speech.create(body);
      return [answer.headers.get("content-type"), Buffer.from(await answer.arrayBuffer()).toString("base64")];
    },
  },
  {
    name: "images",
    shows: ['"b64_json":"R0lGOD', '"revised_prompt":"a cat"'],
    run: (target) => client(target).images.generate({ model: target.models.image, prompt: "a cat", n: 2 }),
  },
  {
    name: "an edit of two images, and a variation",
    shows: ['"b64_json":"R0lGOD', '"revised_prompt":"a hat"'],
    run: async (target) => {
      const { images } = client(target);
      const { image: model } = target.models;
      const image = [await picture("a.png"), await picture("b.png")];
      const edited = await images.edit({ image, prompt: "a hat", model });
      return [edited, await images.createVariation({ image: await picture("c.png"), n: 2, model })];
    },
  },
];

export const openaiMediaScenarios: readonly Scenario[] = scenarios.map((one) => ({
  ...one,
  name: `openai: ${one.name}`,
}));
