import { readdirSync, readFileSync } from "node:fs";
import type { Usage } from "./usage-driver.ts";

/** The files of test/fixtures/transcripts; its README says how they came about. */

export interface Transcript {
  name: string;
  /** As in configurations: `openai.chat` and so on. */
  api: string;
  path: string;
  contentType: string;
  answerType: string;
  request: { model: string; stream: boolean | "absent"; tools: number; images?: number };
  usage: Usage;
  requestBody: Buffer;
  answerBody: Buffer;
}

const folder = new URL("../fixtures/transcripts/", import.meta.url);

export const transcripts: Transcript[] = readdirSync(folder)
  .filter((file) => file.endsWith(".json"))
  .sort()
  .map((file) => {
    const name = file.slice(0, -".json".length);
    return {
      name,
      ...(JSON.parse(readFileSync(new URL(file, folder), "utf8")) as Omit<
        Transcript,
        "name" | "requestBody" | "answerBody"
      >),
      requestBody: readFileSync(new URL(`${name}.request.body`, folder)),
      answerBody: readFileSync(new URL(`${name}.answer.body`, folder)),
    };
  });
