/** How a request says that it is to read the answer of another along: the route that sends it here and the service that answers it agree on this, and the filter that marks it. */

/** 32 hex digits: the flight that it reads. */
export const FLIGHT_HEADER = "x-llm-flight";
/** Takes the place of its path; its query stays, and is not read. */
export const FOLLOW_PATH = "/tokenmesh.answers.v1.Answers/Follow";
