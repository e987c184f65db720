# What `make install` puts where: command, libraries, headers, man pages, pkg-config file, CMake package.
include(CMakePackageConfigHelpers)
set(package_directory ${CMAKE_INSTALL_LIBDIR}/cmake/Ration)

set(libraries static malloc)
if(RN_BUILD_SHARED)
    list(APPEND libraries shared)
    install(TARGETS preload LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(TARGETS ${libraries} EXPORT RationTargets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(RN_BUILD_COMMAND)
    install(TARGETS ration RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY include/ration DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES man/ration.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES man/libration.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
install(FILES scripts/gdb/ration-gdb.py DESTINATION ${CMAKE_INSTALL_DATADIR}/ration)
install(FILES LICENSE CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

install(EXPORT RationTargets NAMESPACE Ration:: DESTINATION ${package_directory})
configure_package_config_file(cmake/RationConfig.cmake.in ${PROJECT_BINARY_DIR}/RationConfig.cmake
    INSTALL_DESTINATION ${package_directory})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/RationConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/RationConfig.cmake ${PROJECT_BINARY_DIR}/RationConfigVersion.cmake
    DESTINATION ${package_directory})

# The prefix is found from where the file lies, so that an installed tree can be moved.
file(RELATIVE_PATH prefix_from_pkgconfig ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/ration.pc.in ${PROJECT_BINARY_DIR}/ration.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/ration.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
