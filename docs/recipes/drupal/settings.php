<?php
// web/sites/default/settings.php of a Drupal site (8 or newer) on Funicular: nothing in it differs between
// environments, and no password is in git. From web/sites/default the top of the code is three folders up.

// What the gateway says of the environment. A step (sanitise, update) is told in variables, which come
// first: it works on a copy that nobody is pointed to yet.
$funicular = require __DIR__ . '/../../../../../../settings/settings.php';
$fact = function ($name, $otherwise = '') use ($funicular) {
    $told = getenv('FUNICULAR_' . $name);
    return $told !== false ? $told : ($funicular['FUNICULAR_' . $name] ?? $otherwise);
};

$engine = $fact('DATABASE_ENGINE', 'mariadb');
if ($engine === 'sqlite') {
    $databases['default']['default'] = [
        'driver' => 'sqlite',
        'namespace' => 'Drupal\\sqlite\\Driver\\Database\\sqlite',
        'autoload' => 'core/modules/sqlite/src/Driver/Database/sqlite/',
        'database' => $fact('DATABASE_DIR') . '/drupal.sqlite',
        'prefix' => '',
    ];
} else {
    $driver = $engine === 'postgresql' ? 'pgsql' : 'mysql';
    $databases['default']['default'] = [
        'driver' => $driver,
        'namespace' => "Drupal\\$driver\\Driver\\Database\\$driver",
        'autoload' => "core/modules/$driver/src/Driver/Database/$driver/",
        'database' => $fact('DATABASE_NAME'),
        'username' => $fact('DATABASE_USER'),
        'password' => $fact('DATABASE_PASSWORD'),
        'prefix' => '',
    ];
    if ($fact('DATABASE_SOCKET') !== '' && $driver === 'mysql') {
        $databases['default']['default']['unix_socket'] = $fact('DATABASE_SOCKET');
    } else {
        // PostgreSQL takes the folder of its socket for a host.
        $socket = $fact('DATABASE_SOCKET');
        $databases['default']['default']['host'] = $socket !== '' ? $socket : $fact('DATABASE_HOST', 'localhost');
        $databases['default']['default']['port'] = $fact('DATABASE_PORT');
    }
    if ($driver === 'mysql') {
        $databases['default']['default']['init_commands']['isolation_level'] = 'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED';
    }
}

// Another secret in each environment, so that a link of Dev opens nothing on Live.
$settings['hash_salt'] = hash_hmac('sha256', $fact('SITE') . $fact('ENVIRONMENT'), $fact('DATABASE_PASSWORD', $fact('DATABASE_DIR', 'unset')));
$settings['config_sync_directory'] = '../config/sync';
$settings['file_public_path'] = 'sites/default/files';
// Not below the web's root; the gateway's folder of files is writable, the code is not.
$settings['file_private_path'] = $fact('FILES') !== '' ? $fact('FILES') . '/private' : null;
$settings['file_temp_path'] = '/tmp';
$settings['update_free_access'] = false;
// Releases are read-only: they are not to be made writable, and nothing is installed from a page.
$settings['skip_permissions_hardening'] = true;
$settings['allow_authorize_operations'] = false;

$host = parse_url($fact('URL'), PHP_URL_HOST);
$settings['trusted_host_patterns'] = $host ? ['^' . preg_quote($host) . '$'] : ['^localhost$', '^127\\.0\\.0\\.1$'];

if ($fact('ENVIRONMENT') === 'live') {
    $config['system.logging']['error_level'] = 'hide';
    $config['system.performance']['css']['preprocess'] = true;
    $config['system.performance']['js']['preprocess'] = true;
} else {
    // No mail leaves a copy.
    $config['system.mail']['interface']['default'] = 'test_mail_collector';
}
