@@ if request-filter
// Admits clients with a known key, and limits how often each key is used.
//
// The configuration is JSON, and C has no reader for it: the one below accepts the plugin's keys and refuses
// everything else.
@@ else
// Describe here what this plugin does.
@@ end

#include <stdlib.h>
#include <string.h>

#include "component.h"
@@ if request-filter-or-request-stream-filter-or-response-stream-filter

static void set_bytes(component_list_u8_t *list, const char *value) {
  list->len = strlen(value);
  list->ptr = malloc(list->len);
  memcpy(list->ptr, value, list->len);
}
@@ end
@@ if request-filter-or-attempt-filter-or-request-stream-filter

// Writes a number, and returns where it begins.
static char *decimal(uint64_t number, char digits[24]) {
  char *digit = digits + 23;
  *digit = 0;
  do *--digit = (char)('0' + number % 10);
  while (number /= 10);
  return digit;
}
@@ end
@@ if finished-or-request-stream-filter

static const char *const ENDINGS[] = {"complete", "client-gone", "backend-failed", "cut", "refused", "plugin-failed"};
@@ end
@@ if request-filter

struct client {
  char *name;
  char *key;
  size_t key_length;
};

static struct client *clients;
static size_t client_count;
static pace_plugin_windows_own_window_t window;

// The position of the reader.
static const char *at, *end;

static char peek(void) {
  while (at < end && strchr(" \t\r\n", *at)) at++;
  return at < end ? *at : 0;
}

static bool take(char c) {
  if (peek() != c) return false;
  at++;
  return true;
}

// Reads a text without escapes other than \" and \\; NULL for anything else.
static char *text(size_t *length) {
  if (!take('"')) return NULL;
  char *copy = malloc((size_t)(end - at) + 1);
  *length = 0;
  while (at < end && *at != '"') {
    if (*at == '\\' && (++at == end || (*at != '"' && *at != '\\'))) return NULL;
    copy[(*length)++] = *at++;
  }
  copy[*length] = 0;
  return take('"') ? copy : NULL;
}

// Reads a positive integer of 32 bits; 0 for anything else.
static uint32_t number(void) {
  uint64_t value = 0;
  for (peek(); at < end && *at >= '0' && *at <= '9' && value <= UINT32_MAX; at++) value = value * 10 + (uint64_t)(*at - '0');
  bool whole = peek() == ',' || peek() == '}';
  return whole && value <= UINT32_MAX ? (uint32_t)value : 0;
}

// Makes the error that the operator reads: the key, and what is allowed.
static bool refuse(component_string_t *error, const char *key, const char *why) {
  size_t length = strlen(key) + strlen(why) + 3;
  char *message = malloc(length);
  strcpy(message, key);
  strcat(message, ": ");
  strcat(message, why);
  component_string_dup(error, message);
  return false;
}

static bool read_keys(component_string_t *error) {
  if (!take('{')) return refuse(error, "keys", "expected a table");
  while (!take('}')) {
    struct client client;
    size_t name_length;
    client.name = text(&name_length);
    client.key = client.name && take(':') ? text(&client.key_length) : NULL;
    if (!client.key) return refuse(error, "keys", "expected a text for each name");
    if (!client.key_length) {
      char *field = malloc(strlen("keys.") + name_length + 1);
      strcpy(field, "keys.");
      strcat(field, client.name);
      return refuse(error, field, "the key must not be empty");
    }
    clients = realloc(clients, (client_count + 1) * sizeof(client));
    clients[client_count++] = client;
    take(',');
  }
  return true;
}

bool exports_pace_plugin_lifecycle_configure(component_string_t *config, component_string_t *error) {
  uint32_t requests = 100, seconds = 60;
  at = (const char *)config->ptr;
  end = at + config->len;
  if (!take('{')) return refuse(error, "config", "expected a table");
  while (!take('}')) {
    size_t length;
    char *key = text(&length);
    if (!key || !take(':')) return refuse(error, "config", "expected a table");
    if (!strcmp(key, "keys")) {
      if (!read_keys(error)) return false;
    } else if (!strcmp(key, "requests") || !strcmp(key, "seconds")) {
      uint32_t value = number();
      if (!value) return refuse(error, key, "expected a positive integer");
      *(*key == 'r' ? &requests : &seconds) = value;
    } else {
      return refuse(error, key, "unknown key, expected keys, requests or seconds");
    }
    take(',');
  }
  if (!client_count) return refuse(error, "keys", "a name and a key are needed");
  component_string_t name;
  component_string_set(&name, "requests");
  pace_plugin_windows_open_error_t why;
  if (!pace_plugin_windows_static_window_open(&name, requests, (uint64_t)seconds * 1000, &window, &why))
    return refuse(error, "requests, seconds", "no window of this size can be had");
  return true;
}

// The owner of a key. Every byte of every key is compared, so that the duration does not reveal where it differs.
static struct client *owner(const uint8_t *key, size_t length) {
  struct client *found = NULL;
  for (size_t i = 0; i < client_count; i++) {
    const struct client *client = &clients[i];
    size_t bits = length ^ client->key_length;
    for (size_t j = 0; j < length; j++) bits |= key[j] ^ (uint8_t)client->key[j % client->key_length];
    if (!bits) found = &clients[i];
  }
  return found;
}

// Responds with one header, or with none if it is NULL.
static void respond(exports_pace_plugin_request_filter_verdict_t *verdict, uint16_t status, const char *body, const char *header,
                    const char *value) {
  verdict->tag = PACE_PLUGIN_HTTP_VERDICT_RESPOND;
  verdict->val.respond.status = status;
  set_bytes(&verdict->val.respond.body, body);
  verdict->val.respond.headers.len = 0;
  if (!header) return;
  verdict->val.respond.headers.len = 1;
  verdict->val.respond.headers.ptr = malloc(sizeof(pace_plugin_http_header_field_t));
  component_string_dup(&verdict->val.respond.headers.ptr->name, header);
  set_bytes(&verdict->val.respond.headers.ptr->value, value);
}

void exports_pace_plugin_request_filter_filter(exports_pace_plugin_request_filter_verdict_t *verdict) {
  component_string_t name;
  component_list_u8_t key = {0};
  component_string_set(&name, "x-api-key");
  bool sent = pace_plugin_request_header(&name, &key);
  struct client *client = sent ? owner(key.ptr, key.len) : NULL;
  if (sent) component_list_u8_free(&key);
  if (!client) {
    respond(verdict, 401, "This needs an API key.\n", "www-authenticate", "ApiKey");
    return;
  }
  component_list_u8_t value = {(uint8_t *)client->name, strlen(client->name)};
  pace_plugin_windows_key_t who = {.tag = PACE_PLUGIN_WINDOWS_KEY_BYTES, .val.bytes = value};
  pace_plugin_windows_standing_t standing;
  pace_plugin_windows_denial_t denial;
  if (!pace_plugin_windows_method_window_hit(pace_plugin_windows_borrow_window(window), &who, &standing, &denial)) {
    char digits[24];
    respond(verdict, 429, "Too many requests.\n", "retry-after", decimal((denial.val.wait + 999) / 1000, digits));
    return;
  }
  pace_plugin_request_edit_error_t refused;
  bool removed, edited = pace_plugin_request_remove_header(&name, &removed, &refused);
  component_string_set(&name, "x-api-client");
  edited = pace_plugin_request_set_header(&name, &value, &refused) && edited;
  if (!edited) {
    // A request without the client's name must not reach the backend.
    respond(verdict, 500, "The name of this client cannot be a header.\n", NULL, NULL);
    return;
  }
  verdict->tag = PACE_PLUGIN_HTTP_VERDICT_NEXT;
}
@@ else

bool exports_pace_plugin_lifecycle_configure(component_string_t *config, component_string_t *error) {
  static const char WHY[] = "unknown keys, there are none: ";
  // An empty table is `{}`.
  if (config->len == 2) return true;
  error->len = strlen(WHY) + config->len;
  error->ptr = malloc(error->len);
  memcpy(error->ptr, WHY, strlen(WHY));
  memcpy(error->ptr + strlen(WHY), config->ptr, config->len);
  return false;
}
@@ end
@@ if select-upstream

// Sends each attempt to the backend with the fewest requests in flight for its weight: to a healthy one if there is one, and no
// two to the same. Of equal ones each is drawn as often as its weight says.
void exports_pace_plugin_select_upstream_select(uint32_t attempt, exports_pace_plugin_select_upstream_selection_t *selection) {
  uint64_t best = UINT64_MAX, drawn_from = 0;
  selection->tag = EXPORTS_PACE_PLUGIN_SELECT_UPSTREAM_SELECTION_PASS;
  for (uint32_t index = 0; index < pace_plugin_upstreams_count(); index++) {
    uint32_t weight = pace_plugin_upstreams_weight(index);
    pace_plugin_upstreams_health_state_t health = pace_plugin_upstreams_health(index);
    if (!weight || health == PACE_PLUGIN_UPSTREAMS_HEALTH_STATE_DRAINING) continue;
    if (attempt > 1 && pace_plugin_upstreams_tried(index)) continue;
    // Fractions in millionths can be compared, and are below 2^53.
    uint64_t rank = (uint64_t)pace_plugin_upstreams_in_flight(index) * 1000000 / weight;
    if (health != PACE_PLUGIN_UPSTREAMS_HEALTH_STATE_HEALTHY) rank += (uint64_t)1 << 53;
    if (rank > best) continue;
    drawn_from = rank == best ? drawn_from + weight : weight;
    best = rank;
    if (pace_plugin_random_number() % drawn_from >= weight) continue;
    selection->tag = EXPORTS_PACE_PLUGIN_SELECT_UPSTREAM_SELECTION_PICK;
    selection->val.pick = index;
  }
}
@@ end
@@ if attempt-filter

// Sends a request again whose backend is too busy, and tells the next one that it is not the first.
void exports_pace_plugin_attempt_filter_prepare(uint32_t number, exports_pace_plugin_attempt_filter_verdict_t *verdict) {
  verdict->tag = PACE_PLUGIN_HTTP_VERDICT_NEXT;
  if (number == 1) return;
  char digits[24], *text = decimal(number, digits);
  component_string_t name;
  component_string_set(&name, "x-attempt");
  component_list_u8_t value = {(uint8_t *)text, strlen(text)};
  pace_plugin_attempt_edit_error_t refused;
  pace_plugin_attempt_set_header(&name, &value, &refused);
}

void exports_pace_plugin_attempt_filter_judge(uint32_t number, exports_pace_plugin_attempt_filter_judgement_t *judgement) {
  judgement->tag = EXPORTS_PACE_PLUGIN_ATTEMPT_FILTER_JUDGEMENT_ACCEPT;
  pace_plugin_attempt_attempt_failure_t failure;
  if (pace_plugin_attempt_failure(&failure)) return;
  uint16_t status = pace_plugin_response_status();
  if (status == 429 || status == 503) judgement->tag = EXPORTS_PACE_PLUGIN_ATTEMPT_FILTER_JUDGEMENT_RETRY;
}
@@ end
@@ if request-stream-filter

// Hides what follows `password=` in the lines of an upload, and logs how many lines had it.
struct exports_pace_plugin_request_stream_filter_request_message_t {
  uint32_t lines;
};

bool exports_pace_plugin_request_stream_filter_open(exports_pace_plugin_request_stream_filter_opening_t *opening) {
  opening->message = exports_pace_plugin_request_stream_filter_request_message_new(calloc(1, sizeof(uint32_t)));
  opening->framing = PACE_PLUGIN_STREAMS_FRAMING_LINE;
  opening->access = PACE_PLUGIN_STREAMS_ACCESS_EDIT;
  opening->interest.len = 1;
  opening->interest.ptr = malloc(sizeof(component_list_u8_t));
  set_bytes(opening->interest.ptr, "password=");
  return true;
}

exports_pace_plugin_request_stream_filter_step_t exports_pace_plugin_request_stream_filter_method_request_message_next(
    exports_pace_plugin_request_stream_filter_borrow_request_message_t message) {
  component_list_u8_t secret = {(uint8_t *)"password=", strlen("password=")};
  component_list_u8_t hidden = {(uint8_t *)"password=***", strlen("password=***")};
  uint32_t at;
  pace_plugin_content_edit_error_t refused;
  if (!pace_plugin_content_find(&secret, 0, &at)) return PACE_PLUGIN_STREAMS_STEP_PASS;
  message->lines++;
  bool edited = pace_plugin_content_splice(at, pace_plugin_content_size() - at, &hidden, &refused);
  return edited ? PACE_PLUGIN_STREAMS_STEP_PASS : PACE_PLUGIN_STREAMS_STEP_CUT;
}

void exports_pace_plugin_request_stream_filter_method_request_message_end(
    exports_pace_plugin_request_stream_filter_borrow_request_message_t message,
    exports_pace_plugin_request_stream_filter_ending_t how) {
  char text[64], digits[24];
  strcpy(text, decimal(message->lines, digits));
  strcat(text, " passwords: ");
  strcat(text, ENDINGS[how]);
  component_string_t line;
  component_string_set(&line, text);
  pace_plugin_log_write(PACE_PLUGIN_LOG_LEVEL_INFO, &line);
}

void exports_pace_plugin_request_stream_filter_request_message_destructor(
    exports_pace_plugin_request_stream_filter_request_message_t *message) {
  free(message);
}
@@ end
@@ if response-stream-filter

// Marks pages at their end, while they pass. There is nothing to remember of a page.
struct exports_pace_plugin_response_stream_filter_response_message_t {
  char nothing;
};

bool exports_pace_plugin_response_stream_filter_open(exports_pace_plugin_response_stream_filter_opening_t *opening) {
  static const char HTML[] = "text/html";
  component_string_t name;
  component_string_set(&name, "content-type");
  component_list_u8_t kind;
  if (!pace_plugin_response_header(&name, &kind)) return false;
  bool is_page = kind.len >= strlen(HTML) && !memcmp(kind.ptr, HTML, strlen(HTML));
  component_list_u8_free(&kind);
  if (!is_page) return false;
  opening->message = exports_pace_plugin_response_stream_filter_response_message_new(malloc(1));
  opening->framing = PACE_PLUGIN_STREAMS_FRAMING_CHUNK;
  opening->access = PACE_PLUGIN_STREAMS_ACCESS_EDIT;
  opening->interest.len = 1;
  opening->interest.ptr = malloc(sizeof(component_list_u8_t));
  set_bytes(opening->interest.ptr, "</body>");
  return true;
}

exports_pace_plugin_response_stream_filter_step_t exports_pace_plugin_response_stream_filter_method_response_message_next(
    exports_pace_plugin_response_stream_filter_borrow_response_message_t message) {
  component_list_u8_t end = {(uint8_t *)"</body>", strlen("</body>")};
  component_list_u8_t mark = {(uint8_t *)"<!-- @NAME@ -->", strlen("<!-- @NAME@ -->")};
  uint32_t at;
  pace_plugin_content_edit_error_t refused;
  if (pace_plugin_content_find(&end, 0, &at)) pace_plugin_content_splice(at, 0, &mark, &refused);
  return PACE_PLUGIN_STREAMS_STEP_FINISH;
}

void exports_pace_plugin_response_stream_filter_method_response_message_end(
    exports_pace_plugin_response_stream_filter_borrow_response_message_t message,
    exports_pace_plugin_response_stream_filter_ending_t how) {
}

void exports_pace_plugin_response_stream_filter_response_message_destructor(
    exports_pace_plugin_response_stream_filter_response_message_t *message) {
  free(message);
}
@@ end
@@ if request-body-filter

// Refuses bodies that say that they are JSON, and are not.
void exports_pace_plugin_request_body_filter_filter(exports_pace_plugin_request_body_filter_verdict_t *verdict) {
  static const char JSON[] = "application/json", ANSWER[] = "This is not JSON.\n";
  component_string_t name, whole;
  component_string_set(&name, "content-type");
  component_string_set(&whole, "");
  component_list_u8_t kind = {0};
  bool said = pace_plugin_request_header(&name, &kind);
  bool is_json = said && kind.len >= strlen(JSON) && !memcmp(kind.ptr, JSON, strlen(JSON));
  if (said) component_list_u8_free(&kind);
  component_option_u32_t length;
  pace_plugin_content_json_error_t error;
  verdict->tag = PACE_PLUGIN_HTTP_VERDICT_NEXT;
  if (!is_json || pace_plugin_content_json_length(&whole, &length, &error)) return;
  verdict->tag = PACE_PLUGIN_HTTP_VERDICT_RESPOND;
  verdict->val.respond.status = 400;
  verdict->val.respond.headers.len = 0;
  verdict->val.respond.body.len = strlen(ANSWER);
  verdict->val.respond.body.ptr = malloc(strlen(ANSWER));
  memcpy(verdict->val.respond.body.ptr, ANSWER, strlen(ANSWER));
}
@@ end
@@ if response-filter

void exports_pace_plugin_response_filter_filter(exports_pace_plugin_response_filter_verdict_t *verdict) {
  component_string_t name;
  component_string_set(&name, "x-plugin");
  component_list_u8_t value = {(uint8_t *)"@NAME@", strlen("@NAME@")};
  pace_plugin_response_edit_error_t refused;
  pace_plugin_response_set_header(&name, &value, &refused);
  verdict->tag = PACE_PLUGIN_HTTP_VERDICT_NEXT;
}
@@ end
@@ if response-body-filter

// Marks pages at their end.
void exports_pace_plugin_response_body_filter_filter(exports_pace_plugin_response_body_filter_verdict_t *verdict) {
  component_list_u8_t end = {(uint8_t *)"</body>", strlen("</body>")};
  component_list_u8_t mark = {(uint8_t *)"<!-- @NAME@ -->", strlen("<!-- @NAME@ -->")};
  uint32_t at;
  pace_plugin_content_edit_error_t refused;
  if (pace_plugin_content_find(&end, 0, &at)) pace_plugin_content_splice(at, 0, &mark, &refused);
  verdict->tag = PACE_PLUGIN_HTTP_VERDICT_NEXT;
}
@@ end
@@ if finished

void exports_pace_plugin_finished_observe(void) {
  component_string_t method, path, line;
  pace_plugin_request_method(&method);
  pace_plugin_request_path(&path);
  const char *ending = ENDINGS[pace_plugin_outcome_ended()];
  line.len = method.len + 1 + path.len + 2 + strlen(ending);
  line.ptr = malloc(line.len);
  uint8_t *at = (uint8_t *)line.ptr;
  memcpy(at, method.ptr, method.len);
  at += method.len;
  *at++ = ' ';
  memcpy(at, path.ptr, path.len);
  at += path.len;
  *at++ = ':';
  *at++ = ' ';
  memcpy(at, ending, strlen(ending));
  pace_plugin_log_write(PACE_PLUGIN_LOG_LEVEL_INFO, &line);
  component_string_free(&method);
  component_string_free(&path);
  component_string_free(&line);
}
@@ end
