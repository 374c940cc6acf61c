/**
 * Every error code of the server and the command line: what it means and what to do about it. A code never changes its meaning.
 * docs/errors.md mirrors this table one to one.
 */

export interface ErrorEntry {
  readonly meaning: string;
  readonly remedy: string;
}

export const ERRORS = {
  TM_CONFIG_UNREADABLE: {
    meaning: "A configuration file or folder cannot be read.",
    remedy: "Check that the path exists and that the server may read it.",
  },
  TM_CONFIG_EMPTY: {
    meaning: "The configuration folder holds no document. Serving nothing would take down what runs, so it is refused.",
    remedy: "Put at least one YAML document into the folder.",
  },
  TM_CONFIG_TOO_LARGE: {
    meaning: "A configuration file, or all of them together, is larger than the server accepts.",
    remedy:
      "Split the file (at most 1 MiB each, 16 MiB and 1,000 files together), or remove files that do not belong into the folder.",
  },
  TM_CONFIG_TOO_COMPLEX: {
    meaning:
      "A YAML file is nested too deeply, has too many documents or anchors, or expands to too many nodes through aliases.",
    remedy: "Write the values out instead of nesting aliases, or split the file.",
  },
  TM_CONFIG_SYNTAX: {
    meaning: "The file is not valid YAML.",
    remedy: "Correct the YAML at this position; check indentation, quotes and colons.",
  },
  TM_CONFIG_DUPLICATE_KEY: {
    meaning: "A mapping has the same key twice.",
    remedy: "Remove one of the two; YAML does not say which one would count.",
  },
  TM_CONFIG_UNKNOWN_KIND: {
    meaning: "The document's apiVersion and kind are not ones that the server reads.",
    remedy:
      "Use Gateway, ServiceEntry, VirtualService or DestinationRule of networking.istio.io/v1 (v1beta1, v1alpha3), or LLMRouter, TokenRateLimit, EndpointPicker or PromptCache of tokenmesh.io/v1alpha1.",
  },
  TM_CONFIG_UNKNOWN_FIELD: {
    meaning: "A field is not part of the kind's schema; usually a spelling mistake.",
    remedy: "Correct the spelling or remove the field.",
  },
  TM_CONFIG_UNSUPPORTED: {
    meaning:
      "The field or value exists in Istio but this server does not implement it, and ignoring it would change what traffic does.",
    remedy: "Remove it.",
  },
  TM_CONFIG_MISSING_FIELD: {
    meaning: "A required field is missing.",
    remedy: "Add the field.",
  },
  TM_CONFIG_WRONG_TYPE: {
    meaning: "A value has the wrong YAML type.",
    remedy:
      "Write the value in the expected type; numbers stand without quotes, texts that look like numbers with quotes.",
  },
  TM_CONFIG_INVALID_VALUE: {
    meaning: "A value has the right type but is out of range or malformed.",
    remedy: "Use a value as the message says.",
  },
  TM_CONFIG_DUPLICATE: {
    meaning: "Two things have the same name where names must be unique.",
    remedy: "Rename or remove one of them.",
  },
  TM_CONFIG_UNKNOWN_REFERENCE: {
    meaning: "A name refers to something that no file defines.",
    remedy: "Define it, or correct the name.",
  },
  TM_CONFIG_CONFLICT: {
    meaning: "Two definitions contradict each other.",
    remedy: "Keep one of them.",
  },
  TM_CONFIG_UNUSED: {
    meaning: "A warning: a document is right and takes effect nowhere.",
    remedy: "Put it into the namespace of a Gateway, or name the Gateways in the annotation tokenmesh.io/gateways.",
  },
  TM_CONFIG_NO_ADDRESSES: {
    meaning: "A warning: the server knows no address of a service that an EndpointPicker is to pick from.",
    remedy: "Give the ServiceEntry resolution STATIC and endpoints with IP addresses.",
  },
  TM_CONFIG_OVERRIDDEN: {
    meaning: "A warning: a value is right and has no effect, because another document decides the same.",
    remedy: "Remove the value, or the document that the message names.",
  },
  TM_FILTER_MISSING: {
    meaning: "The compiled filter that a configuration needs is not where the server looks for it.",
    remedy: "Build the filters: npm run build:filters.",
  },
  TM_BUILD_FAILED: {
    meaning: "A valid configuration could not be turned into Envoy resources. This is a mistake in tokenmesh.",
    remedy: "Report it with the message and the configuration; the last good configuration stays in force.",
  },
  TM_USAGE: {
    meaning: "An option or argument has the wrong form.",
    remedy: "Addresses are HOST:PORT, for example 127.0.0.1:0; see tokenmesh --help.",
  },
  TM_LISTEN_FAILED: {
    meaning: "An address cannot be bound.",
    remedy: "Choose a free address, or port 0 for any free port.",
  },
} as const satisfies Readonly<Record<string, ErrorEntry>>;

export type ErrorCode = keyof typeof ERRORS;

/** An error with a code of the table; its message ends with the remedy. */
export class ServerError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(`${code} ${message}; ${ERRORS[code].remedy}`);
    this.name = "ServerError";
    this.code = code;
  }
}
