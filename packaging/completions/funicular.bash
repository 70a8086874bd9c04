# bash completion for funicular(1): commands, and the words of a few options.
_funicular() {
    local cur prev words cword
    # Commands have a colon in them, which bash takes for the end of a word.
    _get_comp_words_by_ref -n : cur prev words cword || return

    case $prev in
        --config | --data | --admin-key | --from | --write-config)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
            ;;
        --format)
            mapfile -t COMPREPLY < <(compgen -W 'table json' -- "$cur")
            return
            ;;
        --decision)
            mapfile -t COMPREPLY < <(compgen -W 'permit refuse' -- "$cur")
            return
            ;;
    esac

    local commands='init serve check-config explain
        site:create site:list site:info site:set
        site:team:add site:team:list site:team:role site:team:remove
        user:list user:add user:remove
        ssh-key:add ssh-key:list ssh-key:remove
        ca:add ca:list ca:remove
        env:list env:info env:status env:set env:diffstat env:commit env:discard env:restore-work
        env:deploy env:rollback env:code-log
        release:list release:allow
        env:clone-content env:undo-content env:wipe env:rotate-password site:launch
        import:database import:files import:site export:database export:files
        domain:map domain:list domain:unmap quota:set
        backup:create backup:list backup:info backup:get backup:restore
        backup:automatic:enable backup:automatic:disable backup:automatic:info
        connection:info connection:set
        hotfix:list hotfix:merge hotfix:drop env:revert
        multidev:create multidev:delete multidev:restore multidev:list
        multidev:merge-to-dev multidev:merge-from-dev
        lock:enable lock:disable lock:list
        window:set window:clear window:list
        deploy:approve deploy:deny deploy:requests
        workflow:list workflow:info workflow:logs workflow:watch workflow:wait workflow:cancel
        target:add target:list target:test target:remove delivery:list delivery:retry
        audit:list audit:verify'
    local word command=''
    for word in "${words[@]:1:cword-1}"; do
        if [[ " ${commands//$'\n'/ } " == *" $word "* ]]; then command=$word; fi
    done

    local choices
    case $command in
        '') choices="$commands --config --format --yes --help --version" ;;
        init) choices='--data --admin --admin-key --listen --public-host --write-config' ;;
        serve) choices='--config' ;;
        check-config)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
            ;;
        site:create) choices='--from --trunk --files-path' ;;
        site:set)
            choices='database skip-tables force-push hotfix-require-test approve-live approve-hotfix
                step-network yes no none sqlite mariadb postgresql drupal wordpress'
            ;;
        site:team:add | site:team:role) choices='administrator team_member developer viewer' ;;
        user:add) choices='--email --administrator' ;;
        ssh-key:add) choices='--user --expires --valid-for --from --site --environment --action' ;;
        ssh-key:list) choices='--user' ;;
        ca:add) choices='--name' ;;
        connection:set) choices='sftp git --yes' ;;
        env:set) choices='database url fastcgi none' ;;
        env:status) choices='--fail-on warning failure' ;;
        env:discard) choices='--yes' ;;
        env:restore-work) choices='--list' ;;
        env:deploy)
            choices='--note --ref --dry-run --override --sync-content --updatedb --cc'
            ;;
        env:clone-content) choices='--db-only --files-only --updatedb --cc --confirm' ;;
        env:undo-content | env:wipe | import:database | import:files) choices='--confirm' ;;
        site:launch) choices='--undo' ;;
        export:database) choices='--to' ;;
        export:files) choices='--archive --to tar tar.gz tar.zst' ;;
        backup:create) choices='--element --keep-for all code files database' ;;
        backup:get) choices='--element --to latest code files database' ;;
        backup:restore)
            choices='--element --from --confirm latest code files database'
            ;;
        backup:automatic:enable)
            choices='--day --hour --keep-for monday tuesday wednesday thursday friday saturday sunday'
            ;;
        env:rollback) choices='--to --note --dry-run --override' ;;
        multidev:create) choices='--from-branch --no-db --no-files' ;;
        multidev:delete) choices='--delete-branch --yes' ;;
        multidev:list) choices='--deleted' ;;
        env:code-log) choices='--limit' ;;
        hotfix:drop | deploy:deny) choices='--reason' ;;
        lock:enable) choices='--reason --until --content' ;;
        workflow:logs) choices='--follow' ;;
        workflow:wait) choices='--max' ;;
        target:add)
            choices='command webhook rsync reload --timeout --secret-from-stdin --fingerprint --keep
                --pid-file --signal --unit'
            ;;
        delivery:list) choices='--status waiting delivered failed' ;;
        explain) choices='--reason --key' ;;
        audit:list)
            choices='--site --env --user --rule --decision --path --incident --since --until --limit
                --follow'
            ;;
        *) choices='' ;;
    esac
    [ -z "$command" ] || choices+=' --format --field --yes --no-wait'
    mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$cur")
    __ltrim_colon_completions "$cur"
}
complete -F _funicular funicular
