-- The columns of a payload, in the types and by the rules of `Details` of the domain. The store sends them with each event.
-- The defaults are for rows without them: parts from before this migration, of which nothing is rewritten, and inserts of
-- older releases. `$payload` is the payload as ClickHouse's JSON parser takes it. Numbers are rounded half away from zero,
-- which round() does not do. Times are in ms, scroll_depth is in percent.
ALTER TABLE events
    -- What sent the event.
    ADD COLUMN IF NOT EXISTS library LowCardinality(String),
    ADD COLUMN IF NOT EXISTS click_x Nullable(Int16)
        DEFAULT if(event_type = 'click', accurateCastOrNull(arrayMap(n -> trunc((trunc(2 * n) + sign(n)) / 2), [JSONExtract($payload, 'x', 'Nullable(Float64)')])[1], 'Int16'), NULL) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS click_y Nullable(Int16)
        DEFAULT if(event_type = 'click', accurateCastOrNull(arrayMap(n -> trunc((trunc(2 * n) + sign(n)) / 2), [JSONExtract($payload, 'y', 'Nullable(Float64)')])[1], 'Int16'), NULL) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS target_selector Nullable(String)
        DEFAULT if(event_type = 'click', JSONExtract($payload, 'target', 'selector', 'Nullable(String)'), NULL) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS target_tag LowCardinality(Nullable(String))
        DEFAULT if(event_type = 'click', JSONExtract($payload, 'target', 'tag', 'Nullable(String)'), NULL),
    ADD COLUMN IF NOT EXISTS target_role LowCardinality(Nullable(String))
        DEFAULT if(event_type = 'click', JSONExtract($payload, 'target', 'role', 'Nullable(String)'), NULL),
    ADD COLUMN IF NOT EXISTS target_text Nullable(String)
        DEFAULT if(event_type = 'click', JSONExtract($payload, 'target', 'text', 'Nullable(String)'), NULL) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS scroll_depth Nullable(UInt8)
        DEFAULT if(event_type = 'scroll', accurateCastOrNull(arrayMap(n -> trunc((trunc(2 * n) + sign(n)) / 2), [JSONExtract($payload, 'depth_percent', 'Nullable(Float64)')])[1], 'UInt8'), NULL) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS error_message Nullable(String)
        DEFAULT if(event_type = 'js_error', JSONExtract($payload, 'message', 'Nullable(String)'), NULL) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS error_stack Nullable(String)
        DEFAULT if(event_type = 'js_error', JSONExtract($payload, 'stack', 'Nullable(String)'), NULL) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS error_type LowCardinality(Nullable(String))
        DEFAULT if(event_type = 'js_error', coalesce(JSONExtract($payload, 'errorType', 'Nullable(String)'), JSONExtract($payload, 'error_type', 'Nullable(String)')), NULL),
    ADD COLUMN IF NOT EXISTS lcp Nullable(UInt32)
        DEFAULT if(event_type = 'web_vitals', accurateCastOrNull(arrayMap(n -> trunc((trunc(2 * n) + sign(n)) / 2), [JSONExtract($payload, 'lcp', 'Nullable(Float64)')])[1], 'UInt32'), NULL) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS fid Nullable(UInt32)
        DEFAULT if(event_type = 'web_vitals', accurateCastOrNull(arrayMap(n -> trunc((trunc(2 * n) + sign(n)) / 2), [JSONExtract($payload, 'fid', 'Nullable(Float64)')])[1], 'UInt32'), NULL) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS inp Nullable(UInt32)
        DEFAULT if(event_type = 'web_vitals', accurateCastOrNull(arrayMap(n -> trunc((trunc(2 * n) + sign(n)) / 2), [JSONExtract($payload, 'inp', 'Nullable(Float64)')])[1], 'UInt32'), NULL) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS cls Nullable(Float32)
        DEFAULT if(event_type = 'web_vitals', toFloat32(JSONExtract($payload, 'cls', 'Nullable(Float64)')), NULL) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS ttfb Nullable(UInt32)
        DEFAULT if(event_type = 'web_vitals', accurateCastOrNull(arrayMap(n -> trunc((trunc(2 * n) + sign(n)) / 2), [JSONExtract($payload, 'ttfb', 'Nullable(Float64)')])[1], 'UInt32'), NULL) CODEC(ZSTD(1));

-- What the fold in `state` says, for people who ask by hand. Rows from before this migration have the defaults until the
-- session gets another event.
ALTER TABLE sessions
    ADD COLUMN IF NOT EXISTS entry_url String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS entry_path String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS exit_url String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS exit_path String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS max_scroll_depth UInt8 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS browser LowCardinality(String),
    ADD COLUMN IF NOT EXISTS os LowCardinality(String),
    ADD COLUMN IF NOT EXISTS device_type LowCardinality(String),
    ADD COLUMN IF NOT EXISTS country LowCardinality(String);
