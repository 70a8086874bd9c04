<?php
// wp-config.php of a site on Funicular: nothing in it differs between environments, and no password is
// in git. Salts: let each environment have its own, below.

// What the gateway says of the environment. A step (sanitise, update) is told in variables, which come
// first: it works on a copy that nobody is pointed to yet.
$settings = require __DIR__ . '/../../../settings/settings.php';
$fact = function ($name, $otherwise = '') use ($settings) {
    $told = getenv('FUNICULAR_' . $name);
    return $told !== false ? $told : ($settings['FUNICULAR_' . $name] ?? $otherwise);
};

if ($fact('DATABASE_ENGINE') === 'sqlite') {
    // The SQLite Database Integration plugin, with its db.php in wp-content.
    define('DB_DIR', $fact('DATABASE_DIR') . '/');
    define('DB_FILE', 'wordpress.sqlite');
    define('DB_NAME', 'wordpress');
} else {
    $socket = $fact('DATABASE_SOCKET');
    define('DB_HOST', $socket !== '' ? 'localhost:' . $socket : $fact('DATABASE_HOST', 'localhost') . ':' . $fact('DATABASE_PORT', '3306'));
    define('DB_NAME', $fact('DATABASE_NAME'));
    define('DB_USER', $fact('DATABASE_USER'));
    define('DB_PASSWORD', $fact('DATABASE_PASSWORD'));
}
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
$table_prefix = 'wp_';

// The address that the administrator has set (env:set SITE.ENV url …) wins over what a clone brought.
if ($fact('URL') !== '') {
    define('WP_HOME', $fact('URL'));
    define('WP_SITEURL', $fact('URL'));
}

// Another secret in each environment, so that a cookie of Dev opens nothing on Live.
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $kind) {
    $secret = $fact('DATABASE_PASSWORD', $fact('DATABASE_DIR')) . $fact('SITE') . $fact('ENVIRONMENT');
    define($kind . '_KEY', hash_hmac('sha256', $kind . ' key', $secret));
    define($kind . '_SALT', hash_hmac('sha256', $kind . ' salt', $secret));
}

$live = $fact('ENVIRONMENT') === 'live';
define('WP_ENVIRONMENT_TYPE', $live ? 'production' : ($fact('ENVIRONMENT') === 'test' ? 'staging' : 'development'));
define('WP_DEBUG', false);
// Releases are read-only: updates come by git.
define('DISALLOW_FILE_EDIT', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
if ($live || $fact('ENVIRONMENT') === 'test') {
    define('DISALLOW_FILE_MODS', true);
}
// Cron of Live is run by the system (wp cron event run --due-now), that of copies not at all.
define('DISABLE_WP_CRON', true);

if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
