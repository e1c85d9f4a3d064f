#!/bin/sh
# Makes the pictures in docs/images from the running stack of `make up`. Sends orders for two minutes, because the
# graphs need some, and then takes pictures of one order's trace, of its log records, of a metric and of a dashboard.
#
#   tools/pictures.sh [DIRECTORY]    docs/images by default
#
# Environment: CHROMIUM  the browser, an installed Chromium by default
#              PAGES     base URL of the pages, http://127.0.0.1:16686 by default
#              ORDERS    base URL of order-service, http://127.0.0.1:8081 by default
#              DURATION  the time for orders in seconds, 120 by default
set -eu
cd "$(dirname "$0")/.."

images=${1:-docs/images}
pages=${PAGES:-http://127.0.0.1:16686}
orders=${ORDERS:-http://127.0.0.1:8081}

stop() {
    echo "$0: $1" >&2
    exit 1
}

browser=${CHROMIUM-}
for name in chromium chromium-browser google-chrome google-chrome-stable; do
    [ -n "$browser" ] || browser=$(command -v "$name") || true
done
[ -n "$browser" ] || stop "Chromium is not installed (Debian: apt install chromium), and CHROMIUM is not set"
curl -fsS -o /dev/null "$pages/" || stop "no pages at $pages: run make up in another terminal, or set PAGES"

profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
trap 'exit 130' INT TERM

# chromium ARGUMENT...: the sandbox does not work for root and in most containers. All pages are from this machine. The
# timers of a page run at once, and time stands still while a request is running.
chromium() {
    timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-sync \
        --disable-background-networking --disable-component-update --hide-scrollbars --user-data-dir="$profile" \
        --virtual-time-budget=10000 "$@" 2>/dev/null
}

# picture NAME HEIGHT URL
picture() {
    chromium --window-size="1280,$2" --screenshot="$profile/$1.png" "$3"
    size=$(wc -c <"$profile/$1.png")
    [ "$size" -le 200000 ] || stop "$1.png has $size bytes, and must have at most 200000"
    mv "$profile/$1.png" "$images/$1.png"
    echo "$images/$1.png: $size bytes"
}

# encode TEXT: prints the text as a part of a URL.
encode() { printf %s "$1" | od -An -v -tx1 | tr -d '\n' | tr ' ' %; }

duration=${DURATION:-120}
echo "sending orders to $orders for $duration s"
end=$(($(date +%s) + duration))
number=0
while [ "$(date +%s)" -lt "$end" ]; do
    number=$((number % 50 + 1))
    curl -fsS -o /dev/null "$orders/orders/$number"
    sleep 0.2
done
trace=$(curl -fsS -o /dev/null -D - "$orders/orders/7" | sed -n 's/^traceresponse: 00-\([0-9a-f]*\)-.*/\1/p')
[ -n "$trace" ] || stop "the response of $orders/orders/7 has no trace ID"

page=$pages/trace/$trace
tries=0
until chromium --dump-dom "$page" >"$profile/page.html" && grep -q 'href="/select/' "$profile/page.html" &&
    grep -q inventory-service "$profile/page.html"; do
    tries=$((tries + 1))
    [ "$tries" -lt 20 ] || stop "$page does not show the order"
    sleep 1
done
# The link in the header of the page is the first one with a query. HTML contains & as &amp;.
logs=$(sed -n 's/.*href="\(\/select\/vmui\/#\/?[^"]*query=[^"]*\)".*/\1/p' "$profile/page.html" | head -n 1)
[ -n "$logs" ] || stop "$page has no link to the log records"

picture trace 610 "$page"
picture logs 640 "$pages$(printf %s "$logs" | sed 's/&amp;/\&/g')"
query='histogram_quantile(0.95, sum by (le, service_name, http_route)'
query="$query (rate(http_server_request_duration_seconds_bucket[1m])))"
picture metrics 960 "$pages/prometheus/vmui/#/?g0.expr=$(encode "$query")&g0.range_input=3m&g0.relative_time=none"
# The first dashboard is about requests.
picture dashboard 1000 "$pages/prometheus/vmui/#/dashboards?g0.range_input=5m&g0.relative_time=none"
