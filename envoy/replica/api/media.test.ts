/** Audio and images: bodies that are not JSON, answers that are not text. */
import OpenAI, { toFile } from "openai";
import { expect, onTestFinished, test } from "vitest";
import { type Replica, startReplica } from "../server.ts";

async function start(): Promise<{ replica: Replica; openai: OpenAI }> {
  const replica = await startReplica({ name: "r1", models: ["whisper-1", "gpt-image-1", "tts-1"] });
  onTestFinished(() => replica.close());
  return { replica, openai: new OpenAI({ baseURL: `${replica.url}/v1`, apiKey: "none", maxRetries: 0 }) };
}

const everyByte = Buffer.from(Array.from({ length: 1024 }, (_, i) => i & 255));
const audio = (bytes: Buffer = everyByte, name = "a.wav") => toFile(bytes, name, { type: "audio/wav" });

test("a transcription describes the file, in every format", async () => {
  const { replica, openai } = await start();
  const whole = await openai.audio.transcriptions.create({ model: "whisper-1", file: await audio() });
  expect(whole.text).toMatch(/^model whisper-1 on replica r1: a\.wav \(audio\/wav\), 1024 bytes, form [0-9a-f]{24}$/);
  expect(replica.requests[0]?.model).toBe("whisper-1");
  const ask = async (response_format: "text" | "srt" | "verbose_json"): Promise<unknown> =>
    openai.audio.transcriptions.create({ model: "whisper-1", file: await audio(), response_format });
  expect(await ask("text")).toMatch(/1024 bytes, form \w+\n$/);
  expect(await ask("srt")).toMatch(/^1\n00:00:00,000 --> /);
  expect(await ask("verbose_json")).toMatchObject({ task: "transcribe", duration: 1.024, segments: [{ id: 0 }] });
});

test("one byte, name or field more is another transcription; another boundary is not", async () => {
  const { openai } = await start();
  const ask = async (file: File, more: { language?: string } = {}): Promise<string> =>
    (await openai.audio.transcriptions.create({ model: "whisper-1", file, ...more })).text;
  const usual = await ask(await audio());
  expect(await ask(await audio())).toBe(usual); // the client makes a new boundary each time
  const changed = Buffer.from(everyByte);
  changed[700] = 0;
  const others = [
    await ask(await audio(changed)),
    await ask(await audio(everyByte, "b.wav")),
    await ask(await audio(), { language: "de" }),
  ];
  expect(new Set([usual, ...others]).size).toBe(4);
});

test("a transcription can be streamed, a translation cannot be confused with it", async () => {
  const { openai } = await start();
  const whole = await openai.audio.transcriptions.create({ model: "whisper-1", file: await audio() });
  const deltas: string[] = [];
  let done = "";
  const stream = await openai.audio.transcriptions.create({ model: "whisper-1", file: await audio(), stream: true });
  for await (const event of stream) {
    if (event.type === "transcript.text.delta") deltas.push(event.delta);
    if (event.type === "transcript.text.done") done = event.text;
  }
  expect(deltas.length).toBeGreaterThan(5);
  expect(deltas.join("")).toBe(done);
  expect(done).toContain(" 1024 bytes");
  expect(done).not.toBe(whole.text); // `stream` is a field as well
  const options = { model: "whisper-1", file: await audio(), response_format: "verbose_json" } as const;
  expect(await openai.audio.translations.create(options)).toMatchObject({ task: "translate" });
});

test("speech is bytes that follow from the text", async () => {
  const { openai } = await start();
  const speak = async (input: string): Promise<Buffer> => {
    const answer = await openai.audio.speech.create({ model: "tts-1", voice: "alloy", input });
    expect(answer.headers.get("content-type")).toBe("audio/mpeg");
    return Buffer.from(await answer.arrayBuffer());
  };
  const hello = await speak("hello");
  expect(new Set(hello).size).toBeGreaterThan(128);
  expect((await speak("hello")).equals(hello)).toBe(true);
  expect((await speak("hellO")).equals(hello)).toBe(false);
});

test("images: as many as asked for, from JSON and from a form", async () => {
  const { openai } = await start();
  const made = await openai.images.generate({ model: "gpt-image-1", prompt: "a cat", n: 2 });
  const pictures = made.data?.map(({ b64_json }) => Buffer.from(b64_json ?? "", "base64"));
  expect(pictures?.map((bytes) => bytes.subarray(0, 6).toString("latin1"))).toEqual(["GIF89a", "GIF89a"]);
  expect(pictures?.[0]?.equals(pictures?.[1] as Buffer)).toBe(false);
  const image = await toFile(everyByte, "cat.png", { type: "image/png" });
  const edited = await openai.images.edit({ model: "gpt-image-1", image, prompt: "a hat" });
  expect(edited.data?.[0]?.revised_prompt).toBe("a hat");
  const renamed = await toFile(everyByte, "dog.png", { type: "image/png" });
  const other = await openai.images.edit({ model: "gpt-image-1", image: renamed, prompt: "a hat" });
  expect(other.data).not.toEqual(edited.data);
  const varied = await openai.images.createVariation({ model: "gpt-image-1", image, n: 3 });
  expect(varied.data).toHaveLength(3);
});

test("forms without model, file or end are refused", async () => {
  const { replica, openai } = await start();
  const post = async (body: FormData | string, headers: Record<string, string> = {}): Promise<unknown> => {
    const answer = await fetch(`${replica.url}/v1/audio/transcriptions`, { method: "POST", body, headers });
    return [answer.status, ((await answer.json()) as { error: { code: string; param: string } }).error];
  };
  const form = new FormData();
  form.set("file", new Blob(["x"]), "x.wav");
  expect(await post(form)).toMatchObject([400, { param: "model" }]);
  form.delete("file");
  form.set("model", "whisper-1");
  expect(await post(form)).toMatchObject([400, { param: "file" }]);
  const type = { "content-type": "multipart/form-data; boundary=x" };
  expect(await post("--x\r\ncontent-disposition: form-data; name=", type)).toMatchObject([
    400,
    { code: "invalid_multipart" },
  ]);
  const unknown = openai.audio.transcriptions.create({ model: "whisper-9", file: await audio() });
  await expect(unknown).rejects.toMatchObject({ status: 404, code: "model_not_found" });
});
