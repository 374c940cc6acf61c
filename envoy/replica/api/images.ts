/**
 * POST /v1/images/generations (JSON), /edits and /variations (multipart): https://platform.openai.com/docs/api-reference/images
 *
 * The pictures have one pixel, whose colour follows from the request; they are valid files, because clients look at the first bytes, and
 * GIF, because that needs no checksums.
 */
import { asCount, asString } from "../json.ts";
import { countTokens } from "../tokens.ts";
import { fingerprint } from "./content.ts";
import { at, type Call, type Endpoint, jsonAnswer, jsonBody, type ReadCall } from "./endpoint.ts";
import { ApiError, invalid, openAiError } from "./errors.ts";
import { CREATED } from "./format.ts";
import { readForm } from "./multipart.ts";

const MAX_IMAGES = 10;

const generations: Endpoint = {
  serves: at("/v1/images/generations"),
  error: openAiError,
  read: (call) => {
    const body = jsonBody(call);
    if (body instanceof ApiError) return body;
    const model = asString(body.model);
    const prompt = asString(body.prompt);
    if (model === undefined) return invalid("you must provide a model parameter", "model");
    if (prompt === undefined) return invalid("'prompt' must be a string", "prompt");
    return pictures(model, prompt, fingerprint(call.body), asCount(body.n) ?? 1);
  },
};

const edits: Endpoint = { serves: at("/v1/images/edits"), error: openAiError, read: readEdit };
const variations: Endpoint = { serves: at("/v1/images/variations"), error: openAiError, read: readEdit };

export const imageEndpoints: readonly Endpoint[] = [generations, edits, variations];

async function readEdit(call: Call): Promise<ReadCall | ApiError> {
  const form = await readForm(call);
  if (form instanceof ApiError) return form;
  if (!form.files.some(({ field }) => field === "image" || field === "image[]")) {
    return invalid("you must provide an image", "image");
  }
  return pictures(form.model, form.text("prompt") ?? "", form.fingerprint, asCount(Number(form.text("n"))) ?? 1);
}

function pictures(model: string, prompt: string, seed: string, count: number): ReadCall | ApiError {
  if (count > MAX_IMAGES) return invalid(`'n' must not exceed ${MAX_IMAGES}`, "n");
  const data = Array.from({ length: count }, (_, i) => ({
    b64_json: picture(fingerprint(`${seed} ${i}`)).toString("base64"),
    revised_prompt: prompt,
  }));
  const input = countTokens(prompt);
  const usage = { input_tokens: input, output_tokens: 272 * count, total_tokens: input + 272 * count };
  const details = { input_tokens_details: { text_tokens: input, image_tokens: 0 } };
  return jsonAnswer(model, { created: CREATED, data, usage: { ...usage, ...details } });
}

/** https://www.w3.org/Graphics/GIF/spec-gif89a.txt */
function picture(colours: string): Buffer {
  const header = "474946383961" + "01000100" + "800000"; // GIF89a, 1 x 1, two colours
  const image = "2c000000000100010000" + "0202440100"; // the whole screen, one pixel of the first colour
  return Buffer.from(`${header}${colours.slice(0, 12)}${image}3b`, "hex");
}
